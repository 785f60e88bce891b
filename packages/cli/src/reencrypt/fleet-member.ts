/**
 * A member of a fleet, as a source for the engine of a run: its pages are those of the ranges that the queue hands out, one
 * range after the other, until the run has ended. The engine's own pass is the member's whole stay.
 */

import { setTimeout } from 'node:timers/promises'

import { beatMs } from '../sources/fleet.ts'
import type {
  FleetMember,
  FleetQueue,
  FleetFacts,
  FleetTable,
  HeldRange,
  QueuedRange,
} from '../sources/fleet.ts'
import { Problem } from '../sources/problem.ts'
import type {
  DecidedPage,
  Page,
  PageLimits,
  PutBack,
  RowReader,
  RowSource,
  SourceSize,
  StoredDataKey,
  TargetDescription,
} from '../sources/row-source.ts'
import { afterPage, noOutcome } from '../sources/run-state.ts'
import type { DeadLetter, RunState } from '../sources/run-state.ts'

export interface FleetSourceSettings {
  readonly table: FleetTable
  readonly queue: FleetQueue
  readonly runId: string
  readonly member: FleetMember
  /** Of ours; compared whenever a range is taken. @throws Problem `wrong` where the fleet's is another one. */
  readonly checkFacts: (facts: FleetFacts) => void
  readonly signal: AbortSignal
}

interface Held {
  readonly range: HeldRange
  readonly queued: QueuedRange
  /** Where its next page begins. */
  after: string | undefined
  /** Pages that change nothing, not yet written down; without their rows. */
  waiting: DecidedPage[]
  waitingSinceMs: number
  /** Somebody else has it. */
  isLost: boolean
}

/** A page of a range, or an empty one between two of them. */
class MemberPage implements Page {
  readonly page: Page
  readonly held: Held | undefined
  readonly isLast: boolean

  constructor(page: Page, held: Held | undefined, isLast: boolean) {
    this.page = page
    this.held = held
    this.isLast = isLast
  }

  get rows() {
    return this.page.rows
  }

  get position() {
    return this.page.position
  }
}

const nothing: Page = { rows: [], position: '', isLast: false }
const pollMs = 500
/** Pages without a change may lag behind: a pass over finished rows need not wait for the disk. */
const maxLagMs = 1000

export class FleetSource implements RowSource {
  /** The passes are the coordinator's. */
  readonly isStill = true
  readonly dataKeysOfAll = new Set<string>()
  readonly target: TargetDescription
  readonly #settings: FleetSourceSettings
  readonly #rows: RowReader
  readonly #held = new Set<Held>()
  #reading: Held | undefined
  /** Pages that the engine has and has not brought back. */
  #out = 0
  #askedMs = -Infinity
  #facts: FleetFacts | undefined
  #beating: NodeJS.Timeout | undefined
  #beat: Promise<void> = Promise.resolve()

  constructor(settings: FleetSourceSettings) {
    this.#settings = settings
    this.#rows = settings.table.rows
    this.target = settings.table.rows.target
  }

  /** As it was when somebody last looked. */
  get facts(): FleetFacts | undefined {
    return this.#facts
  }

  async look(): Promise<FleetFacts | undefined> {
    this.#facts = await this.#settings.table.facts(this.#settings.runId)
    return this.#facts
  }

  async begin(): Promise<void> {
    await this.#giveSign()
    this.#beating = setInterval(() => {
      this.#beat = this.#beat.then(() => this.#giveSign()).catch(() => {}) // whoever needs the database next tells it
    }, beatMs)
  }

  async read(_after: string | undefined, limits: PageLimits): Promise<Page> {
    const { signal, table } = this.#settings
    for (;;) {
      if (signal.aborted) return new MemberPage(nothing, undefined, false)
      this.#reading ??= await this.#take()
      const held = this.#reading
      if (held !== undefined) {
        const page = await table.read(held.range, held.after, limits)
        held.after = page.position
        if (page.isLast || held.isLost) this.#reading = undefined
        this.#out++
        return new MemberPage(page, held, false)
      }
      // What the engine holds is committed before anybody waits: it may be what the pass waits for.
      if (this.#out > 0) return new MemberPage(nothing, undefined, false)
      if ((await this.look()) === undefined) return new MemberPage(nothing, undefined, true)
      await setTimeout(pollMs, undefined, { signal }).catch(() => {}) // told by the signal
    }
  }

  async commit(state: RunState, pages: readonly DecidedPage[]): Promise<RunState> {
    let next = state
    for (const [held, some] of groupsOf(pages)) {
      if (held !== undefined) next = await this.#commitTo(held, next, some)
    }
    return next
  }

  async addDataKey(state: RunState, key: StoredDataKey): Promise<RunState> {
    await this.#settings.table.addDataKey(state.runId, key)
    this.dataKeysOfAll.add(key.keyId)
    return { ...state, dataKeys: [...state.dataKeys, key.keyId] }
  }

  async retireDataKeys(keyIds: readonly string[]): Promise<void> {
    await this.#settings.table.rows.retireDataKeys(keyIds)
  }

  /** Gives back what is not done, and is gone. What fails here is found out by the others after a while. */
  async leave(): Promise<void> {
    const { table, queue, runId, member } = this.#settings
    clearInterval(this.#beating)
    await this.#beat
    for (const held of this.#held) {
      if (held.isLost) continue
      try {
        if (held.waiting.length > 0) await table.commit(held.range, held.waiting, false)
        await table.release(held.range)
        await queue.giveBack(runId, held.queued)
      } catch (error) {
        if (!(error instanceof Problem)) throw error
      }
    }
    this.#held.clear()
    await table.leave(runId, member).catch(() => {}) // its signs of life end, and that says the same
  }

  size(): Promise<SourceSize> | SourceSize {
    return this.#rows.size()
  }

  progressOf(state: RunState): number {
    return this.#rows.progressOf(state)
  }

  latestRun() {
    return this.#rows.latestRun()
  }

  runs() {
    return this.#rows.runs()
  }

  deadLetters(runId: string): Iterable<DeadLetter> | AsyncIterable<DeadLetter> {
    return this.#rows.deadLetters(runId)
  }

  dataKey(keyId: string) {
    return this.#rows.dataKey(keyId)
  }

  async ask(sql: string): Promise<number> {
    if (this.#rows.ask === undefined) throw new Error('a fleet without a database')
    return await this.#rows.ask(sql)
  }

  isLocked() {
    return this.#rows.isLocked()
  }

  finishedRun(): undefined {}

  /** The run's state is the coordinator's. */
  store(): void {}

  finish(): void {}

  putBack(): PutBack | undefined {
    throw new Error('a member of a fleet puts nothing back')
  }

  finalize(): void {
    throw new Error('a member of a fleet finalises nothing')
  }

  async close(): Promise<void> {
    await this.#rows.close()
  }

  async #take(): Promise<Held | undefined> {
    const { table, queue, runId, member, checkFacts } = this.#settings
    if (performance.now() - this.#askedMs < pollMs) return undefined
    for (;;) {
      const facts = await this.look()
      if (facts === undefined) return undefined
      checkFacts(facts)
      const queued = await queue.take(runId)
      if (queued === undefined) {
        this.#askedMs = performance.now()
        return undefined
      }
      const range = await table.take(runId, queued, member.id)
      if (range === undefined) {
        // Done, and whoever did it could not tell the queue any more.
        await queue.done(runId, queued)
        continue
      }
      // After it was taken: whoever had it before adds no data key to it any more.
      const now = await table.rows.latestRun()
      for (const keyId of now?.dataKeys ?? []) this.dataKeysOfAll.add(keyId)
      const held: Held = { range, queued, after: range.after, waiting: [], waitingSinceMs: 0, isLost: false }
      this.#held.add(held)
      return held
    }
  }

  async #commitTo(held: Held, state: RunState, pages: readonly DecidedPage[]): Promise<RunState> {
    const { table, queue, runId } = this.#settings
    this.#out -= pages.length
    if (held.isLost) return state
    const isDone = pages.some(({ page }) => page.isLast)
    const isQuiet = pages.every(({ replacements, dead }) => replacements.size + dead.length === 0)
    if (held.waiting.length === 0) held.waitingSinceMs = performance.now()
    if (isQuiet && !isDone && performance.now() - held.waitingSinceMs < maxLagMs) {
      held.waiting.push(...pages.map(withoutRows))
      return state
    }
    const all = [...held.waiting, ...pages]
    const outcomes = await table.commit(held.range, all, isDone)
    held.waiting = []
    if (outcomes === undefined) {
      // Whoever has it now goes on behind our last commit, and reads the rows of this one again.
      this.#lose(held)
      return state
    }
    if (isDone) {
      this.#held.delete(held)
      await queue.done(runId, held.queued)
    }
    return all.reduce((next, page, at) => afterPage(next, page, outcomes[at] ?? noOutcome), state)
  }

  #lose(held: Held): void {
    held.isLost = true
    this.#held.delete(held)
    if (this.#reading === held) this.#reading = undefined
  }

  async #giveSign(): Promise<void> {
    const { table, queue, runId, member } = this.#settings
    await table.beat(runId, member)
    await queue.keep(
      runId,
      [...this.#held].map(({ queued }) => queued),
    )
  }
}

/** Pages of one range, one after the other, with pages as the table made them. */
function groupsOf(pages: readonly DecidedPage[]): [Held | undefined, DecidedPage[]][] {
  const groups: [Held | undefined, DecidedPage[]][] = []
  for (const decided of pages) {
    if (!(decided.page instanceof MemberPage)) throw new RangeError('a page of another source')
    const { held, page } = decided.page
    const own = { ...decided, page }
    const last = groups.at(-1)
    if (last !== undefined && last[0] === held) last[1].push(own)
    else groups.push([held, [own]])
  }
  return groups
}

function withoutRows(decided: DecidedPage): DecidedPage {
  const { position, isLast } = decided.page
  return { ...decided, page: { rows: [], position, isLast } }
}
