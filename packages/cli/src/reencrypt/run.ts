/**
 * The run: pages are read in order, transformed by workers, and committed in the order they were read, each row only
 * if it still is what was read. Passes repeat until one finds nothing to do.
 */

import { setImmediate } from 'node:timers/promises'

import { equalBytes, fromText, LongholdError } from '@longhold/core'

import { Problem } from '../sources/problem.ts'
import type {
  Awaitable,
  DecidedPage,
  Page,
  PageLimits,
  RowSource,
  SeenCounts,
  SourceRow,
} from '../sources/row-source.ts'
import { addsUp, noCounts } from '../sources/run-state.ts'
import type { DeadLetter, RunState } from '../sources/run-state.ts'
import { DataKeys } from './data-keys.ts'
import type { DataKeySettings, LentDataKey } from './data-keys.ts'
import { isEmpty, longholdValue } from './longhold-value.ts'
import type { Throttle } from './throttle.ts'
import { plaintextDigest } from './transform.ts'
import type { Batch, BatchOutcome, BatchRow, Transformer } from './transform.ts'

export interface RunSettings extends Omit<DataKeySettings, 'store'> {
  readonly source: RowSource
  readonly transformer: Transformer
  /** Where the run goes on, or a new one. */
  readonly state: RunState
  readonly batchRows: number
  readonly batchBytes: number
  /** Each record of this number in a row is opened through a real identity before it is written. */
  readonly checkEvery: number
  /** It gives up after so many of them. */
  readonly maxPasses: number
  /** The workers' too. */
  readonly digestKey: Uint8Array
  /** Stops reading; what was read is committed. */
  readonly signal: AbortSignal
  readonly onProgress: (state: RunState) => void
  /** Locators of the rows that are worked on, as if there were no others. Undefined: all. */
  readonly only?: ReadonlySet<string> | undefined
  /** Slows it down. */
  readonly throttle?: Throttle | undefined
  /** Runs between the reading and the committing of pages. */
  readonly testingBeforeCommit?: (pages: readonly Page[]) => Awaitable<void>
}

/** A page on its way. */
interface Pending {
  readonly page: Page
  readonly decided: Promise<Decided>
  isReady: boolean
}

interface Decided {
  readonly page: DecidedPage
  readonly lent: LentDataKey | undefined
}

/**
 * @returns The state at the end: `finished`, or `stopped` when the signal came or old values kept appearing.
 * @throws Problem, LongholdError `unavailable`: the target is as the last commit left it, and another run goes on there.
 */
export async function reencrypt(settings: RunSettings): Promise<RunState> {
  const run = new Run(settings)
  return await run.toEnd()
}

class Run {
  readonly #settings: RunSettings
  readonly #source: RowSource
  readonly #dataKeys: DataKeys
  #ours: Set<string>
  /** Limits of a page: no batch is larger than what a data key may live for. */
  readonly #pageLimits: PageLimits
  /** Where it gives up. */
  readonly #lastPass: number
  #state: RunState
  #untilCheck: number
  /** The changes so far: a data key is made while other pages are committed. */
  #changed: Promise<void> = Promise.resolve()

  constructor(settings: RunSettings) {
    this.#settings = settings
    this.#source = settings.source
    this.#state = { ...settings.state, status: 'running' }
    this.#ours = new Set(this.#state.dataKeys)
    const { batchRows, batchBytes, life, maxPasses } = settings
    this.#pageLimits = {
      maxRows: Math.min(batchRows, life.maxRecords),
      maxBytes: Math.min(batchBytes, life.maxBytes),
    }
    // A run that goes on first ends the pass it was in, then has as many as a new one.
    this.#lastPass = this.#state.pass + maxPasses - (this.#state.position === undefined ? 1 : 0)
    // The first record is always checked.
    this.#untilCheck = 1
    this.#dataKeys = new DataKeys({
      ...settings,
      store: async (key) => {
        await this.#change((state) => this.#source.addDataKey(state, key))
        this.#ours = new Set(this.#state.dataKeys)
      },
    })
  }

  async #change(step: (state: RunState) => Awaitable<RunState>): Promise<void> {
    const before = this.#changed
    const change = async (): Promise<void> => {
      await before
      this.#state = await step(this.#state)
    }
    const changed = change()
    this.#changed = changed.catch(() => {}) // whoever asked for it is told
    await changed
  }

  async toEnd(): Promise<RunState> {
    await this.#source.begin(this.#state)
    try {
      await this.#passes()
    } finally {
      const keyIds = this.#dataKeys.close()
      if (this.#state.status !== 'running') await this.#source.retireDataKeys(keyIds)
    }
    return this.#state
  }

  async #passes(): Promise<void> {
    for (;;) {
      const isComplete = await this.#pass()
      if (!isComplete) return await this.#end('stopped')
      const { counts, pass } = this.#state
      if (!addsUp(counts)) throw new Error(`pass ${pass} does not add up: ${JSON.stringify(counts)}`)
      const isQuiet = counts.migrated === 0 && counts.conflict === 0
      if (isQuiet || this.#source.isStill) {
        await this.#source.finish()
        return await this.#end('finished')
      }
      if (pass >= this.#lastPass) return await this.#end('stopped')
      this.#state = { ...this.#state, pass: pass + 1, position: undefined, counts: noCounts }
      await this.#source.store(this.#state)
    }
  }

  async #end(status: 'stopped' | 'finished'): Promise<void> {
    const now = new Date().toISOString()
    this.#state = {
      ...this.#state,
      status,
      updatedAt: now,
      finishedAt: status === 'finished' ? now : undefined,
    }
    await this.#source.store(this.#state)
  }

  /** @returns False when it was interrupted. */
  async #pass(): Promise<boolean> {
    const { signal, throttle, transformer, onProgress } = this.#settings
    const queue: Pending[] = []
    let after = this.#state.position
    let isRead = false
    try {
      for (;;) {
        while (!isRead && !signal.aborted && queue.length < transformer.width) {
          if (throttle !== undefined && !(await throttle.isOpen())) {
            // What was read is committed first: it does not get older by waiting.
            if (queue.length > 0 || !(await throttle.turn())) break
          }
          const page = await this.#source.read(after, this.#pageLimits)
          after = page.position
          isRead = page.isLast
          queue.push(this.#send(page))
        }
        if (queue.length === 0) return isRead
        await this.#commitReady(queue)
        // Pages without work never leave the microtasks: Ctrl-C needs a turn of the event loop.
        await setImmediate()
        onProgress(this.#state)
      }
    } catch (error) {
      // What is still on its way will not be committed; its failures have been told already, or do not matter now.
      await Promise.allSettled(queue.map(({ decided }) => decided))
      throw error
    }
  }

  #send(page: Page): Pending {
    const pending: Pending = { page, decided: this.#decide(page), isReady: false }
    const ready = (): void => {
      pending.isReady = true
    }
    void pending.decided.then(ready, ready)
    return pending
  }

  /** Waits for the oldest page and commits it, with those behind it that are ready too. */
  async #commitReady(queue: Pending[]): Promise<void> {
    await queue[0]?.decided
    const count = queue.findIndex(({ isReady }) => !isReady)
    const ready = await Promise.all(
      queue.slice(0, Math.max(1, count < 0 ? queue.length : count)).map(({ decided }) => decided),
    )
    await this.#settings.testingBeforeCommit?.(ready.map(({ page }) => page.page))
    const pages = ready.map(({ page }) => page)
    const startMs = performance.now()
    await this.#change((state) => this.#source.commit(state, pages))
    this.#settings.throttle?.note(pages, performance.now() - startMs)
    queue.splice(0, ready.length)
    const done = ready.flatMap(({ lent }) => (lent === undefined ? [] : this.#dataKeys.giveBack(lent)))
    if (done.length > 0) await this.#source.retireDataKeys(done)
  }

  async #decide(page: Page): Promise<Decided> {
    const ours = this.#source.dataKeysOfAll ?? this.#ours
    const work = new PageWork(page, this.#source.target.ownColumns, ours, this.#settings.only)
    if (work.indices.length === 0) return { page: work.decided(undefined, undefined), lent: undefined }
    const rows = work.indices.map((index) => this.#batchRow(page.rows[index]))
    const { transformer } = this.#settings
    if (!this.#dataKeys.hasKey) {
      // Until a value has opened, no data key is made: a run that changes nothing leaves nothing behind.
      const result = await transformer.transform({ rows, dataKey: undefined })
      if (!result.needsDataKey) return { page: work.decided(result, undefined), lent: undefined }
    }
    let lent = await this.#dataKeys.take(rows.length, work.bytes)
    let result = await this.#transformed(rows, lent)
    const { plaintextBytes: real } = result
    if (real > work.bytes) {
      const before = lent
      lent = await this.#dataKeys.correct(lent, { records: rows.length, said: work.bytes, real })
      if (lent !== before) result = await this.#transformed(rows, lent)
    }
    this.#checkSamples(result, rows, lent)
    return { page: work.decided(result, lent.keyId), lent }
  }

  async #transformed(rows: readonly BatchRow[], lent: LentDataKey): Promise<BatchOutcome> {
    const batch: Batch = { rows, dataKey: lent.dataKey.use((bytes) => Uint8Array.from(bytes)) }
    const result = await this.#settings.transformer.transform(batch)
    if (result.needsDataKey) throw new Error('a worker asks for the data key that it was given')
    return result
  }

  #batchRow(row: SourceRow | undefined): BatchRow {
    if (row === undefined) throw new RangeError('an index beyond the page')
    const isSample = --this.#untilCheck === 0
    if (isSample) this.#untilCheck = this.#settings.checkEvery
    return { id: row.id, cells: row.cells, form: row.form, isSample }
  }

  /** Opens samples with the data key that an identity unwrapped, and compares digests of the plaintexts. */
  #checkSamples({ digests, replacements }: BatchOutcome, rows: readonly BatchRow[], lent: LentDataKey): void {
    const { unwrapped } = lent
    if (unwrapped === undefined) return
    const { table, column } = this.#source.target
    for (const { index, digest } of digests) {
      const replacement = replacements[index]
      if (replacement === undefined) continue
      const id = rows[index]?.id ?? ''
      const record = typeof replacement === 'string' ? fromText(replacement) : replacement
      let isSame = false
      try {
        const plaintext = unwrapped.decrypt(record, { recordContext: { table, column, id } })
        isSame = equalBytes(plaintextDigest(this.#settings.digestKey, plaintext), digest)
        plaintext.fill(0)
      } catch (error) {
        if (!(error instanceof LongholdError)) throw error
      }
      if (isSame) continue
      throw new Problem('refused', `the record for ${id} does not open as it should: it was not written`, {
        hint: 'suspect the machine itself; longhold reencrypt verify says which records open',
      })
    }
  }
}

/** A page with what its rows are, and then what became of them. */
class PageWork {
  readonly indices: number[] = []
  /** Of the values to be opened. No plaintext is longer, but of compressed ones, which are counted once they are open. */
  bytes = 0
  readonly #page: Page
  readonly #seen: { found: number; earlier: number; already: number; empty: number }
  readonly #dead: DeadLetter[] = []

  constructor(
    page: Page,
    ownColumns: number,
    ours: ReadonlySet<string>,
    only: ReadonlySet<string> | undefined,
  ) {
    this.#page = page
    this.#seen = { found: 0, earlier: 0, already: 0, empty: 0 }
    page.rows.forEach((row, index) => {
      if (only?.has(row.locator) === false) return
      if (isEmpty(row, ownColumns)) this.#seen.empty++
      else this.#look(row, index, ours)
    })
  }

  decided(outcome: BatchOutcome | undefined, keyId: string | undefined): DecidedPage {
    const replacements = new Map<number, string | Uint8Array>()
    outcome?.replacements.forEach((replacement, at) => {
      if (replacement !== undefined) replacements.set(this.#indexAt(at), replacement)
    })
    for (const { index, code, format, keyId: legacyKeyId } of outcome?.refusals ?? []) {
      const { locator } = this.#rowAt(this.#indexAt(index))
      this.#dead.push({ locator, format, keyId: legacyKeyId, code })
    }
    const seen: SeenCounts = { ...this.#seen, unauthenticated: outcome?.unauthenticated ?? 0 }
    const plaintextBytes = outcome?.plaintextBytes ?? 0
    const kinds = outcome?.kinds ?? []
    return { page: this.#page, replacements, dead: this.#dead, seen, keyId, plaintextBytes, kinds }
  }

  #look(row: SourceRow, index: number, ours: ReadonlySet<string>): void {
    this.#seen.found++
    const longhold = longholdValue(row.cells[0])
    if (longhold !== undefined) {
      if (ours.has(longhold.keyId)) this.#seen.earlier++
      else this.#seen.already++
      return
    }
    if (row.problem !== undefined) {
      this.#dead.push({ locator: row.locator, format: undefined, keyId: undefined, code: row.problem })
      return
    }
    this.indices.push(index)
    for (const cell of row.cells) {
      if (typeof cell === 'string' || cell instanceof Uint8Array) this.bytes += cell.length
    }
  }

  #indexAt(at: number): number {
    const index = this.indices[at]
    if (index === undefined) throw new RangeError('an outcome for a row that was not sent')
    return index
  }

  #rowAt(index: number): SourceRow {
    const row = this.#page.rows[index]
    if (row === undefined) throw new RangeError('an index beyond the page')
    return row
  }
}
