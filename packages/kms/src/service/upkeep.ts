/**
 * What the service does by itself: rotates keys whose tick has come, destroys versions whose waiting period has ended,
 * keeps time and counts. Several nodes may do it at once: each step is a change like any other, and the second finds it
 * done.
 */

import type { AuditLog } from './audit-log.ts'
import { allRows } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import { isDue } from './rotation-schedule.ts'
import type { Timekeeper } from './timekeeper.ts'
import type { UsageLog } from './usage.ts'
import type { Versions } from './versions.ts'

/** A rotation is late by no more than this, a destruction is never early. */
const defaultEveryMs = 30_000
/** How often counts and time are written: each is one entry of the log. */
const keepEveryMs = 5 * 60 * 1000

export interface UpkeepOptions {
  readonly reads: RowReads
  readonly audit: AuditLog
  readonly time: Timekeeper
  readonly usage: UsageLog
  readonly versions: Versions
  /** Takes away what is over. */
  readonly sweep: () => Promise<void>
  readonly everyMs?: number | undefined
  /** Told what each round did and could not do; default: nobody. */
  readonly onRound?: ((report: UpkeepReport) => void) | undefined
}

/** What one round did. */
export interface UpkeepReport {
  readonly rotated: readonly string[]
  readonly destroyed: readonly { readonly key: string; readonly version: number }[]
  /** Of single keys: the others go on. */
  readonly failures: readonly unknown[]
}

export class Upkeep {
  readonly #options: UpkeepOptions
  #keptAt = 0
  #timer: NodeJS.Timeout | undefined
  #running: Promise<UpkeepReport> | undefined

  constructor(options: UpkeepOptions) {
    this.#options = options
  }

  /** One round after the other, from now on. */
  start(): void {
    const { onRound = () => undefined, everyMs = defaultEveryMs } = this.#options
    this.#timer ??= setInterval(() => {
      this.run().then(onRound, (failure: unknown) =>
        onRound({ rotated: [], destroyed: [], failures: [failure] }),
      )
    }, everyMs).unref()
  }

  /** One round; while one is under way, that one. */
  async run(): Promise<UpkeepReport> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return await this.#running
  }

  /** Waits for a round, and keeps what is not kept yet. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running?.catch(() => undefined)
    await this.#keep()
  }

  async #run(): Promise<UpkeepReport> {
    const { time, versions } = this.#options
    const seen = await time.current()
    const failures: unknown[] = []
    const attempt = async (work: () => Promise<boolean>): Promise<boolean> => {
      try {
        return await work()
      } catch (error) {
        failures.push(error)
        return false
      }
    }
    const rotated: string[] = []
    for (const key of await this.#dueRotations(seen.latest)) {
      if (await attempt(() => versions.rotateDue(key))) rotated.push(key)
    }
    const destroyed: { key: string; version: number }[] = []
    for (const { key, version } of seen.jump === null ? await this.#endedWaits(seen.latest) : []) {
      if (await attempt(() => versions.destroyEnded(key, version))) destroyed.push({ key, version })
    }
    // A jump is made known at once.
    if (seen.jump !== null || seen.latest - this.#keptAt >= keepEveryMs) {
      await attempt(async () => {
        await this.#keep()
        this.#keptAt = seen.latest
        return true
      })
      // By a clock that may be wrong nothing is over.
      if (seen.jump === null) {
        await attempt(async () => {
          await this.#options.sweep()
          return true
        })
      }
    }
    return { rotated, destroyed, failures }
  }

  async #dueRotations(now: number): Promise<string[]> {
    const due: string[] = []
    for await (const page of allRows(this.#options.reads, 'schedules')) {
      due.push(...page.filter((schedule) => isDue(schedule, now)).map(({ key }) => key))
    }
    return due
  }

  async #endedWaits(now: number): Promise<{ key: string; version: number }[]> {
    const ended: { key: string; version: number }[] = []
    for await (const page of allRows(this.#options.reads, 'destructions')) {
      ended.push(...page.filter(({ destroyAt }) => destroyAt <= now))
    }
    return ended
  }

  async #keep(): Promise<void> {
    const { audit, time, usage } = this.#options
    const keeping = await time.keep()
    const { jump } = keeping.seen
    const { changes, putBack } = await usage.take()
    try {
      const event = { action: 'service.upkeep' as const, jumpMs: jump?.byMs }
      const outcome = await audit.commit(event, [keeping.change, ...changes])
      if (outcome === 'done') keeping.done()
      else putBack()
    } catch (error) {
      putBack()
      throw error
    }
  }
}
