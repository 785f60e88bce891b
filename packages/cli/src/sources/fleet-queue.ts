/** The queue of a fleet: pg-boss, in a schema of its own, in any database of PostgreSQL. */

import { createHash } from 'node:crypto'

import { PgBoss } from 'pg-boss'

import type { FleetQueue, Plan, QueuedRange } from './fleet.ts'
import { checkPostgresUrl, shownPlace, translate } from './postgres-connection.ts'
import { Problem } from './problem.ts'

export interface FleetQueueOptions {
  /** As libpq reads it, without a password. */
  readonly url: string
  /** What is put into it and then has no sign of life for so long is handed out again; at least 10. */
  readonly takeoverSeconds: number
}

const schema = 'longhold_queue'
/** How often somebody looks for what has no sign of life. */
const superviseSeconds = 3
/** Those who were given a range may have died as often as they like. */
const retryLimit = 1_000_000
const longestSeconds = 24 * 60 * 60

/** @throws Problem `stopped` when the database does not answer, `wrong` for an address that is none or holds a password. */
export async function openFleetQueue({ url, takeoverSeconds }: FleetQueueOptions): Promise<FleetQueue> {
  checkPostgresUrl(url)
  const boss = new PgBoss({
    connectionString: url,
    application_name: 'longhold reencrypt',
    schema,
    max: 2,
    connectionTimeoutMillis: 10_000,
    schedule: false,
    registerInstance: false,
    superviseIntervalSeconds: superviseSeconds,
    monitorIntervalSeconds: superviseSeconds,
  })
  // Its upkeep tells failures this way; whoever needs the queue meets the same failure, and tells it.
  boss.on('error', () => undefined)
  const queue = new BossQueue(boss, shownPlace(url), takeoverSeconds)
  await queue.open()
  return queue
}

interface JobData {
  readonly pass: number
  readonly number: number
}

class BossQueue implements FleetQueue {
  readonly #boss: PgBoss
  readonly #shown: string
  readonly #takeoverSeconds: number
  readonly #known = new Set<string>()

  constructor(boss: PgBoss, shown: string, takeoverSeconds: number) {
    this.#boss = boss
    this.#shown = shown
    this.#takeoverSeconds = takeoverSeconds
  }

  async open(): Promise<void> {
    try {
      await this.#ask(() => this.#boss.start())
    } catch (error) {
      await this.#boss.stop({ graceful: false }).catch(() => undefined) // it has not begun
      throw error
    }
  }

  async fill({ runId, pass, numbers }: Plan): Promise<void> {
    const name = await this.#queueOf(runId)
    const jobs = numbers.map((number) => ({
      id: jobId(runId, pass, number),
      data: { pass, number },
      heartbeatSeconds: this.#takeoverSeconds,
    }))
    for (let from = 0; from < jobs.length; from += jobsAtOnce) {
      await this.#ask(() => this.#boss.insert(name, jobs.slice(from, from + jobsAtOnce)))
    }
  }

  async take(runId: string): Promise<QueuedRange | undefined> {
    const name = await this.#queueOf(runId)
    const [job] = await this.#ask(() => this.#boss.fetch<JobData>(name, { includeMetadata: true }))
    return job && { ...job.data, jobId: job.id, attempt: job.retryCount }
  }

  async keep(runId: string, ranges: readonly QueuedRange[]): Promise<void> {
    if (ranges.length === 0) return
    await this.#ask(() => this.#boss.touch(nameOf(runId), ranges.map(attemptOf)))
  }

  async done(runId: string, range: QueuedRange): Promise<void> {
    await this.#ask(() => this.#boss.complete(nameOf(runId), attemptOf(range)))
  }

  async giveBack(runId: string, range: QueuedRange): Promise<void> {
    await this.#ask(() => this.#boss.fail(nameOf(runId), attemptOf(range)))
  }

  async forget(runId: string): Promise<void> {
    this.#known.delete(nameOf(runId))
    await this.#ask(() => this.#boss.deleteQueue(nameOf(runId)))
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: false }).catch(() => undefined) // a server that is gone holds nothing open
  }

  /** Made by whoever comes first. */
  async #queueOf(runId: string): Promise<string> {
    const name = nameOf(runId)
    if (this.#known.has(name)) return name
    await this.#ask(() =>
      this.#boss.createQueue(name, {
        retryLimit,
        retryDelay: 0,
        expireInSeconds: longestSeconds,
      }),
    )
    this.#known.add(name)
    return name
  }

  async #ask<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      const told = translate(error)
      if (!(told instanceof Problem)) throw told
      throw new Problem(told.kind, `the queue at ${this.#shown}: ${told.message}`, {
        ...(told.hint === undefined ? {} : { hint: told.hint }),
        cause: error,
      })
    }
  }
}

const jobsAtOnce = 1000

function nameOf(runId: string): string {
  return `reencrypt/${runId}`
}

/** Always the same for a range of a pass, so that it is in the queue once. */
function jobId(runId: string, pass: number, number: number): string {
  const hex = createHash('sha256').update(`${runId} ${pass} ${number}`).digest('hex')
  // RFC 9562 §5.8: the version and the variant, the rest as one likes.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function attemptOf({ jobId: id, attempt }: QueuedRange): { id: string; retryCount: number } {
  return { id, retryCount: attempt }
}
