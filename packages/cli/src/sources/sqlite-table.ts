/**
 * A table of an SQLite database, one value a row, while other processes go on writing. Journal and data keys are in
 * the same database, so that rows and position commit together.
 */

import { realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'

import Database from 'better-sqlite3'

import { cellBytes, isSameCell } from './cells.ts'
import { Journal, JournalReader } from './journal.ts'
import { fileProblem, Problem } from './problem.ts'
import type {
  Cell,
  DecidedPage,
  Immediate,
  Page,
  PageLimits,
  PutBack,
  RowReader,
  RowSource,
  SourceRow,
} from './row-source.ts'
import type { SourceSize, StoredDataKey, TargetDescription, WantedColumns } from './row-source.ts'
import { afterPage, noOutcome } from './run-state.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { isConstraint, translate } from './sqlite-errors.ts'
import { decodePosition, encodePosition, keyParameters } from './sqlite-keys.ts'
import { keyParts, recordId } from './sqlite-keys.ts'
import type { KeyPart } from './sqlite-keys.ts'
import { putBack } from './sqlite-originals.ts'
import { positionOf, replaceSql, selectSql } from './sqlite-rows.ts'
import { quoted, readTableShape } from './sqlite-schema.ts'
import type { TableShape } from './sqlite-schema.ts'
import { lockName, TargetLock } from './target-lock.ts'

export interface SqliteTableOptions {
  /** Absolute. */
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  readonly table: string
  readonly columns: WantedColumns
  /** How long to wait for other processes' transactions. */
  readonly busyTimeoutMs: number
  /** Replaces rows whatever they hold by now: shows in a test what compare-and-swap prevents. */
  readonly testingWithoutCompareAndSwap?: boolean
}

const maxLagMs = 1000

/** A table to look at: nothing is written, no lock is taken. */
export function readSqliteTable(options: SqliteTableOptions): Immediate<RowReader> {
  return new SqliteTable(options, undefined)
}

/** @throws Problem `stopped` when another run is at work on the table or the database is locked, `wrong` for what cannot be. */
export function openSqliteTable(options: SqliteTableOptions): Immediate<RowSource> {
  const shown = `${options.shown}, table ${options.table}`
  const probe = new SqliteTable(options, undefined)
  const table = probe.target.table
  probe.close()
  const { directory, base } = placeOf(options)
  const lock = TargetLock.take(directory, lockName(base, table), shown)
  try {
    return new SqliteTable(options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Where the file really is: however it is named, its lock is one. */
function placeOf({ path, shown }: SqliteTableOptions): { directory: string; base: string } {
  try {
    const real = realpathSync(path)
    return { directory: dirname(real), base: basename(real) }
  } catch (error) {
    throw fileProblem(error, shown, 'read')
  }
}

/** What a page keeps to find its rows again. */
class TablePage implements Page {
  readonly rows: SourceRow[] = []
  readonly keys: { readonly rowid: bigint | undefined; readonly parts: readonly KeyPart[] }[] = []
  position = ''
  isLast = true
}

class SqliteTable implements RowSource {
  readonly isStill = false
  readonly target: TargetDescription
  readonly #options: SqliteTableOptions
  readonly #shape: TableShape
  readonly #database: Database.Database
  readonly #reader: JournalReader
  readonly #lock: TargetLock | undefined
  #journal: Journal | undefined
  readonly #firstPage: Database.Statement<unknown[], Cell[]>
  readonly #nextPage: Database.Statement<unknown[], Cell[]>
  #replace: Database.Statement | undefined
  #again: Database.Statement<unknown[], Cell[]> | undefined
  #savedAtMs = -Infinity

  constructor(options: SqliteTableOptions, lock: TargetLock | undefined) {
    this.#options = options
    this.#lock = lock
    placeOf(options)
    let database: Database.Database | undefined
    try {
      database = new Database(options.path, {
        fileMustExist: true,
        readonly: lock === undefined,
        timeout: options.busyTimeoutMs,
      })
      database.defaultSafeIntegers(true)
      // A data key must be on the disk before the first record under it, and a position with its rows.
      if (lock !== undefined) database.pragma('synchronous = FULL')
      this.#shape = readTableShape(database, options.shown, options.table, options.columns)
      this.#firstPage = database.prepare<unknown[], Cell[]>(selectSql(this.#shape, 'first')).raw(true)
      this.#nextPage = database.prepare<unknown[], Cell[]>(selectSql(this.#shape, 'next')).raw(true)
    } catch (error) {
      database?.close()
      throw translate(error, options.shown)
    }
    this.#database = database
    this.#reader = new JournalReader(database)
    const [value] = this.#shape.columns
    const column = value?.name ?? ''
    this.target = {
      kind: 'SQLite table',
      file: options.shown,
      name: `${options.shown}, table ${this.#shape.table}, column ${column}`,
      table: this.#shape.table,
      column,
      columns: this.#shape.columns.map(({ name }) => name),
      ownColumns: options.columns.own.length,
      notices: this.#shape.notices,
    }
  }

  size(): SourceSize {
    const sql = `SELECT count(*) FROM ${quoted(this.#shape.table)}`
    return this.#try(() => ({ unit: 'rows', total: Number(this.#database.prepare(sql).pluck().get()) }))
  }

  progressOf({ counts }: RunState): number {
    return counts.found + counts.empty
  }

  read(after: string | undefined, { maxRows, maxBytes }: PageLimits): Page {
    return this.#try(() => {
      const page = new TablePage()
      let bytes = 0
      const results =
        after === undefined
          ? this.#firstPage.iterate(BigInt(maxRows))
          : this.#nextPage.iterate(...this.#positionParameters(after), BigInt(maxRows))
      for (const result of results) {
        bytes += this.#addRow(page, result)
        page.isLast = page.rows.length < maxRows && bytes < maxBytes
        if (bytes >= maxBytes) break
      }
      const last = page.keys.at(-1)
      page.position = last === undefined ? (after ?? '') : encodePosition(positionOf(last))
      return page
    })
  }

  latestRun(): RunState | undefined {
    return this.#try(() => this.#reader.latestRun(this.target.table, this.target.column))
  }

  runs(): RunState[] {
    return this.#try(() => this.#reader.runs(this.target.table, this.target.column))
  }

  deadLetters(runId: string): Iterable<DeadLetter> {
    return this.#reader.deadLetters(runId)
  }

  dataKey(keyId: string): StoredDataKey | undefined {
    return this.#try(() => this.#reader.dataKey(keyId))
  }

  ask(sql: string): number {
    return this.#try(() => {
      const query = this.#database.prepare<[], Cell>(sql)
      if (!query.readonly || !query.reader)
        throw new Problem('wrong', 'the query changes something', { hint: 'give a SELECT' })
      return Number(query.pluck().get() ?? 0)
    })
  }

  isLocked(): boolean {
    const { directory, base } = placeOf(this.#options)
    return TargetLock.isHeld(directory, lockName(base, this.#shape.table))
  }

  /** The application may have written old values since: a table is looked at again every time. */
  finishedRun(): undefined {}

  begin(state: RunState): void {
    this.#transaction(() => {
      this.#journal = new Journal(this.#database)
      const compares = this.#options.testingWithoutCompareAndSwap !== true
      this.#replace = this.#database.prepare(replaceSql(this.#shape, this.target.ownColumns, compares))
      this.#again = this.#database.prepare<unknown[], Cell[]>(selectSql(this.#shape, 'same')).raw(true)
      this.#journal.retireDataKeys(state.dataKeys, state.updatedAt)
      this.#journal.save(state)
    })
  }

  addDataKey(state: RunState, key: StoredDataKey): RunState {
    const next = { ...state, dataKeys: [...state.dataKeys, key.keyId] }
    this.#transaction((journal) => {
      journal.addDataKey(key, new Date().toISOString())
      journal.save(next)
    })
    return next
  }

  commit(state: RunState, pages: readonly DecidedPage[]): RunState {
    const changes = pages.some(({ replacements, dead }) => replacements.size + dead.length > 0)
    // Nothing to change: the position may lag behind, and a pass over finished rows need not wait for the disk.
    if (!changes && performance.now() - this.#savedAtMs < maxLagMs) {
      return pages.reduce((next, page) => afterPage(next, page, noOutcome), state)
    }
    this.#savedAtMs = performance.now()
    return this.#transaction((journal) => {
      let next: RunState = { ...state, updatedAt: new Date().toISOString() }
      for (const page of pages) next = this.#commitPage(journal, next, page)
      journal.save(next)
      return next
    })
  }

  store(state: RunState): void {
    this.#transaction((journal) => {
      if (state.position === undefined && state.status === 'running') journal.clearDead(state.runId)
      journal.save(state)
    })
  }

  retireDataKeys(keyIds: readonly string[]): void {
    this.#transaction((journal) => journal.retireDataKeys(keyIds, new Date().toISOString()))
  }

  /** The rows are where they belong already. */
  finish(): void {}

  putBack(state: RunState, isOurs: (cell: Cell) => boolean, after: string | undefined): PutBack | undefined {
    const { ownColumns } = this.target
    return this.#transaction((journal) =>
      putBack(this.#database, journal, { state, isOurs, after, shape: this.#shape, ownColumns }),
    )
  }

  finalize(state: RunState): void {
    this.#transaction((journal) => {
      journal.forgetOriginals(state.runId)
      journal.save(state)
    })
  }

  close(): void {
    this.#database.close()
    this.#lock?.release()
  }

  #addRow(page: TablePage, result: readonly Cell[]): number {
    const { key, columns, rowid } = this.#shape
    const parts = keyParts(result, 1, key.length)
    const cellsAt = 1 + 2 * key.length + 1
    const isTooLarge = result[cellsAt - 1] === 1n
    const cells = result.slice(cellsAt)
    const id = recordId(parts)
    const rowidValue = result[0]
    const problem = id === undefined ? 'bad_id' : isTooLarge ? 'limit_exceeded' : undefined
    page.keys.push({ rowid: typeof rowidValue === 'bigint' ? rowidValue : undefined, parts })
    page.rows.push({
      locator: id ?? (rowid === undefined ? encodePosition(parts) : `rowid ${String(rowidValue)}`),
      id: id ?? '',
      cells,
      form: columns[0]?.form ?? (typeof cells[0] === 'string' ? 'text' : 'bytes'),
      problem,
    })
    return cells.reduce<number>((sum, cell) => sum + cellBytes(cell), 0)
  }

  #positionParameters(after: string): unknown[] {
    const parts = decodePosition(after)
    return this.#shape.rowid === undefined ? keyParameters(parts) : parts.map(({ value }) => value)
  }

  #commitPage(journal: Journal, state: RunState, decided: DecidedPage): RunState {
    const { page, replacements, keyId } = decided
    const dead = [...decided.dead]
    let migrated = 0
    let bytesBefore = 0
    let bytesAfter = 0
    for (const [index, replacement] of replacements) {
      const row = page.rows[index]
      if (row === undefined) throw new RangeError('a replacement for a row that the page does not have')
      const outcome = this.#replaceRow(page, index, row, replacement)
      if (outcome === 'constraint' || outcome === 'not_replaced') {
        dead.push({ locator: row.locator, format: undefined, keyId: undefined, code: outcome })
      }
      if (outcome !== 'replaced') continue
      migrated++
      if (state.keepsOriginals && page instanceof TablePage) {
        const parts = page.keys[index]?.parts ?? []
        journal.keepOriginal(state.runId, encodePosition(parts), this.#ownCells(row))
      }
      bytesBefore += this.#ownCells(row).reduce<number>((sum, cell) => sum + cellBytes(cell), 0)
      bytesAfter += cellBytes(replacement)
    }
    for (const letter of dead) journal.addDead(state.runId, letter)
    if (keyId !== undefined && migrated > 0) {
      journal.countMessages(keyId, migrated, decided.plaintextBytes, state.updatedAt)
    }
    const broken = dead.length - decided.dead.length
    return afterPage(state, decided, { migrated, broken, bytesBefore, bytesAfter })
  }

  #replaceRow(
    page: Page,
    index: number,
    row: SourceRow,
    replacement: string | Uint8Array,
  ): 'replaced' | 'changed' | 'constraint' | 'not_replaced' {
    const key = page instanceof TablePage ? page.keys[index] : undefined
    if (key === undefined || this.#replace === undefined) throw new RangeError('a page of another source')
    const whichRow = [
      ...(this.#shape.rowid === undefined ? keyParameters(key.parts) : [key.rowid]),
      ...keyParameters(key.parts),
    ]
    // The ciphertext's column takes the record, the others of the layout become NULL.
    const cells = this.#ownCells(row).map((_, at) => (at === 0 ? replacement : null))
    const parameters: unknown[] = [...cells, ...whichRow]
    if (this.#options.testingWithoutCompareAndSwap !== true) parameters.push(...this.#ownCells(row))
    try {
      if (this.#replace.run(...parameters).changes === 1) return 'replaced'
      return this.#isStillThere(row, whichRow) ? 'not_replaced' : 'changed'
    } catch (error) {
      // A trigger may have ended the whole transaction: then nothing of this commit may count.
      if (isConstraint(error) && this.#database.inTransaction) return 'constraint'
      throw error
    }
  }

  /**
   * Nobody changed it, and still it was not replaced: a trigger ignores the change, or the value is text that is not
   * UTF-8, which no comparison finds again. Another pass would meet it the same way.
   */
  #isStillThere(row: SourceRow, whichRow: readonly unknown[]): boolean {
    const result = this.#again?.get(...whichRow)
    if (result === undefined) return false
    const cellsAt = 1 + 2 * this.#shape.key.length + 1
    return this.#ownCells(row).every((cell, index) => isSameCell(cell, result[cellsAt + index] ?? null))
  }

  #ownCells(row: SourceRow): readonly Cell[] {
    return row.cells.slice(0, this.target.ownColumns)
  }

  #transaction<T>(step: (journal: Journal) => T): T {
    return this.#try(() =>
      this.#database
        .transaction(() => {
          this.#journal ??= new Journal(this.#database)
          return step(this.#journal)
        })
        .immediate(),
    )
  }

  #try<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      throw translate(error, this.#options.shown)
    }
  }
}
