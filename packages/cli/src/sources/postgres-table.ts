/**
 * A table of a PostgreSQL database, one value a row, while other processes go on writing. Journal and data keys are in
 * the same database, so that rows and position commit together.
 */

import type { ClientBase, Pool } from 'pg'

import { cellBytes } from './cells.ts'
import { openPool, shownPlace, transaction, translate, translated } from './postgres-connection.ts'
import type { PostgresPlace } from './postgres-connection.ts'
import * as journal from './postgres-journal.ts'
import { TableLock } from './postgres-lock.ts'
import { putBack, replaceRows } from './postgres-replace.ts'
import type { RowChange } from './postgres-replace.ts'
import { decodeKey, encodeKey, rowId, rowOf, selectSql } from './postgres-rows.ts'
import type { PostgresResult, PostgresRow } from './postgres-rows.ts'
import { formOf, readPostgresShape } from './postgres-schema.ts'
import type { ColumnKind, PostgresShape } from './postgres-schema.ts'
import type {
  Cell,
  DecidedPage,
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

export interface PostgresTableOptions extends PostgresPlace {
  /** `table` or `schema.table`. */
  readonly table: string
  readonly columns: WantedColumns
  /** Replaces rows whatever they hold by now: shows in a test what compare-and-swap prevents. */
  readonly testingWithoutCompareAndSwap?: boolean
}

const maxLagMs = 1000
/** A table to look at: nothing is written, no lock is taken. @throws Problem */
export async function readPostgresTable(options: PostgresTableOptions): Promise<RowReader> {
  return await openTable(options, false)
}

/** @throws Problem `stopped` when another run is at work on the table, `wrong` for what cannot be. */
export async function openPostgresTable(options: PostgresTableOptions): Promise<RowSource> {
  return await openTable(options, true)
}

async function openTable(options: PostgresTableOptions, isLocking: boolean): Promise<PostgresTable> {
  const pool = openPool(options)
  try {
    return await translated(async () => {
      const client = await pool.connect()
      let shape: PostgresShape
      try {
        shape = await readPostgresShape(client, options.table, options.columns)
      } finally {
        client.release()
      }
      const lock = isLocking
        ? await TableLock.take(pool, shape.oid, `${shownPlace(options.url)}, table ${shape.table}`)
        : undefined
      return new PostgresTable(options, pool, shape, lock)
    })
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** What a page keeps to find its rows again. */
class TablePage implements Page {
  readonly rows: readonly SourceRow[]
  readonly found: readonly PostgresRow[]
  readonly position: string
  readonly isLast: boolean

  constructor(rows: readonly SourceRow[], found: readonly PostgresRow[], position: string, isLast: boolean) {
    this.rows = rows
    this.found = found
    this.position = position
    this.isLast = isLast
  }
}

class PostgresTable implements RowSource {
  readonly isStill = false
  readonly target: TargetDescription
  readonly #options: PostgresTableOptions
  readonly #pool: Pool
  readonly #shape: PostgresShape
  readonly #lock: TableLock | undefined
  #savedAtMs = -Infinity

  constructor(options: PostgresTableOptions, pool: Pool, shape: PostgresShape, lock: TableLock | undefined) {
    this.#options = options
    this.#pool = pool
    this.#shape = shape
    this.#lock = lock
    const column = shape.columns[0]?.name ?? ''
    const file = shownPlace(options.url)
    this.target = {
      kind: 'PostgreSQL table',
      file,
      name: `${file}, table ${shape.table}, column ${column}`,
      table: shape.table,
      column,
      columns: shape.columns.map(({ name }) => name),
      ownColumns: options.columns.own.length,
      notices: shape.notices,
    }
  }

  async size(): Promise<SourceSize> {
    const { rows } = await translated(() =>
      this.#pool.query<{ total: string }>(`SELECT count(*) AS total FROM ${this.#shape.from}`),
    )
    return { unit: 'rows', total: Number(rows[0]?.total ?? 0) }
  }

  progressOf({ counts }: RunState): number {
    return counts.found + counts.empty
  }

  async read(after: string | undefined, { maxRows, maxBytes }: PageLimits): Promise<Page> {
    const key = after === undefined || after === '' ? [] : decodeKey(after)
    const sql = selectSql(this.#shape, key.length === 0 ? 'first' : 'next')
    const { rows } = await translated(() =>
      this.#pool.query<PostgresResult>(sql, [maxRows, maxBytes, ...key]),
    )
    const found = rows.map((row) => rowOf(row, this.#shape.columns.length))
    const last = found.at(-1)
    const isLast = last === undefined || (last.met < maxRows && found.length === last.met)
    const position = last === undefined ? (after ?? '') : encodeKey(last)
    return new TablePage(
      found.map((row) => this.#rowOf(row)),
      found,
      position,
      isLast,
    )
  }

  async latestRun(): Promise<RunState | undefined> {
    const { table, column } = this.target
    return (await this.#with((client) => journal.runsOn(client, table, column)))[0]
  }

  async runs(): Promise<readonly RunState[]> {
    const { table, column } = this.target
    return await this.#with((client) => journal.runsOn(client, table, column))
  }

  async *deadLetters(runId: string): AsyncIterable<DeadLetter> {
    try {
      yield* journal.deadLetters(this.#pool, runId)
    } catch (error) {
      throw translate(error)
    }
  }

  async dataKey(keyId: string): Promise<StoredDataKey | undefined> {
    return await this.#with((client) => journal.dataKey(client, keyId))
  }

  async ask(sql: string): Promise<number> {
    return await this.#with(async (client) => {
      await client.query('BEGIN READ ONLY')
      try {
        const { rows } = await client.query<Record<string, unknown>>(sql)
        return Number(Object.values(rows[0] ?? {})[0] ?? 0)
      } finally {
        await client.query('ROLLBACK')
      }
    })
  }

  async isLocked(): Promise<boolean> {
    return await translated(() => TableLock.isHeld(this.#pool, this.#shape.oid))
  }

  /** The application may have written old values since: a table is looked at again every time. */
  finishedRun(): undefined {}

  async begin(state: RunState): Promise<void> {
    await this.#change(async (client) => {
      await journal.makeJournal(client)
      await journal.retireDataKeys(client, state.dataKeys)
      await journal.saveRun(client, state)
    })
  }

  async addDataKey(state: RunState, key: StoredDataKey): Promise<RunState> {
    const next = { ...state, dataKeys: [...state.dataKeys, key.keyId] }
    await this.#change(async (client) => {
      await journal.addDataKey(client, key, new Date().toISOString())
      await journal.saveRun(client, next)
    })
    return next
  }

  async commit(state: RunState, pages: readonly DecidedPage[]): Promise<RunState> {
    const changes = pages.some(({ replacements, dead }) => replacements.size + dead.length > 0)
    // Nothing to change: the position may lag behind, and a pass over finished rows need not wait for the disk.
    if (!changes && performance.now() - this.#savedAtMs < maxLagMs) {
      return pages.reduce((next, page) => afterPage(next, page, noOutcome), state)
    }
    this.#savedAtMs = performance.now()
    return await this.#change(async (client) => {
      let next: RunState = { ...state, updatedAt: new Date().toISOString() }
      for (const page of pages) next = await this.#commitPage(client, next, page)
      await journal.saveRun(client, next)
      return next
    })
  }

  async store(state: RunState): Promise<void> {
    await this.#change(async (client) => {
      if (state.position === undefined && state.status === 'running')
        await journal.clearDead(client, state.runId)
      await journal.saveRun(client, state)
    })
  }

  async retireDataKeys(keyIds: readonly string[]): Promise<void> {
    await this.#change((client) => journal.retireDataKeys(client, keyIds))
  }

  /** The rows are where they belong already. */
  finish(): void {}

  async putBack(
    state: RunState,
    isOurs: (cell: Cell) => boolean,
    after: string | undefined,
  ): Promise<PutBack | undefined> {
    const own = this.#shape.columns.slice(0, this.target.ownColumns)
    return await this.#change((client) =>
      putBack(client, {
        runId: state.runId,
        isOurs: (cell) => isOurs(ofJson(cell)),
        after,
        shape: this.#shape,
        own,
      }),
    )
  }

  async finalize(state: RunState): Promise<void> {
    await this.#change(async (client) => {
      await journal.forgetOriginals(client, state.runId)
      await journal.saveRun(client, state)
    })
  }

  async close(): Promise<void> {
    await this.#lock?.release()
    await this.#pool.end()
  }

  #rowOf(found: PostgresRow): SourceRow {
    const { columns } = this.#shape
    const [first] = columns
    const id = rowId(found)
    return {
      locator: id,
      id,
      cells: found.cells.map((cell, index) => (columns[index]?.kind === 'json' ? ofJson(cell) : cell)),
      form: first === undefined ? 'text' : formOf(first),
      problem: found.isLarge ? 'limit_exceeded' : undefined,
    }
  }

  async #commitPage(client: ClientBase, state: RunState, decided: DecidedPage): Promise<RunState> {
    const { page, replacements, keyId } = decided
    const { columns } = this.#shape
    const own = columns.slice(0, this.target.ownColumns)
    const rows = [...replacements].map(([index, replacement]) => {
      const row = page.rows[index]
      const found = page instanceof TablePage ? page.found[index] : undefined
      if (row === undefined || found === undefined) throw new RangeError('a page of another source')
      return { row, found, replacement }
    })
    const changes = rows.map(({ found, replacement }): RowChange => {
      // The ciphertext's column takes the record, the others of the layout become NULL.
      const next = own.map(({ kind }, at) => (at === 0 ? asStored(kind, replacement) : null))
      return { key: found.key, old: found.cells.slice(0, own.length), next }
    })
    const compares = this.#options.testingWithoutCompareAndSwap !== true
    const outcomes = await replaceRows(client, this.#shape, own, changes, compares)
    if (state.keepsOriginals) {
      const replaced = changes.filter((_, at) => outcomes[at] === 'replaced')
      const originals = replaced.map(({ key, old }) => ({ place: encodeKey({ key }), cells: old }))
      await journal.keepOriginals(client, state.runId, originals)
    }
    const dead = [...decided.dead]
    let migrated = 0
    let bytesBefore = 0
    let bytesAfter = 0
    rows.forEach(({ row, replacement }, at) => {
      const outcome = outcomes[at]
      if (outcome === 'constraint' || outcome === 'not_replaced') {
        dead.push({ locator: row.locator, format: undefined, keyId: undefined, code: outcome })
      }
      if (outcome !== 'replaced') return
      migrated++
      for (const cell of row.cells.slice(0, this.target.ownColumns)) bytesBefore += cellBytes(cell)
      bytesAfter += cellBytes(replacement)
    })
    await journal.addDead(client, state.runId, dead)
    if (keyId !== undefined && migrated > 0) {
      await journal.countMessages(client, keyId, migrated, decided.plaintextBytes)
    }
    const broken = dead.length - decided.dead.length
    return afterPage(state, decided, { migrated, broken, bytesBefore, bytesAfter })
  }

  async #with<T>(step: (client: ClientBase) => Promise<T>): Promise<T> {
    return await translated(async () => {
      const client = await this.#pool.connect()
      try {
        return await step(client)
      } finally {
        client.release()
      }
    })
  }

  async #change<T>(step: (client: ClientBase) => Promise<T>): Promise<T> {
    this.#lock?.check()
    return await transaction(this.#pool, this.#options, step)
  }
}

/** A column of JSON holds a text of its own as a JSON string, and everything else as it is written. */
function ofJson(cell: Cell): Cell {
  if (typeof cell !== 'string' || !cell.startsWith('"')) return cell
  return JSON.parse(cell) as string // what the database holds is JSON, and this is a string
}

function asStored(kind: ColumnKind, replacement: string | Uint8Array): string | Uint8Array {
  return kind === 'json' && typeof replacement === 'string' ? JSON.stringify(replacement) : replacement
}
