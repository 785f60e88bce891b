/**
 * A table of a PostgreSQL database, one value a row, while other processes go on writing. Journal and data keys are in
 * the same database, so that rows and position commit together.
 *
 * The lock is an advisory one of a transaction that does nothing else and stays open: it ends with its connection,
 * whatever becomes of the process, also behind a pooler, and having written nothing it holds up no vacuum.
 */

import type { ClientBase, Pool, PoolClient } from 'pg'

import { cellBytes } from './cells.ts'
import {
  isConstraint,
  openPool,
  shownPlace,
  transaction,
  translate,
  translated,
} from './postgres-connection.ts'
import type { PostgresPlace } from './postgres-connection.ts'
import * as journal from './postgres-journal.ts'
import { decodeKey, encodeKey, replaceSql, rowId, rowOf, selectSql, unchangedSql } from './postgres-rows.ts'
import type { PostgresResult, PostgresRow } from './postgres-rows.ts'
import { formOf, readPostgresShape } from './postgres-schema.ts'
import type { PostgresShape } from './postgres-schema.ts'
import { Problem } from './problem.ts'
import type { Cell, DecidedPage, Page, PageLimits, RowReader, RowSource, SourceRow } from './row-source.ts'
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
/** For the two halves of an advisory lock: any number of ours, and the table's. */
const lockSpace = 0x6c_68_72_31

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
      const lock = isLocking ? await TableLock.take(pool, shape, shownPlace(options.url)) : undefined
      return new PostgresTable(options, pool, shape, lock)
    })
  } catch (error) {
    await pool.end()
    throw error
  }
}

class TableLock {
  readonly #client: PoolClient
  #isLost = false

  private constructor(client: PoolClient) {
    this.#client = client
    client.on('error', () => {
      this.#isLost = true
    })
    client.on('end', () => {
      this.#isLost = true
    })
  }

  static async take(pool: Pool, { oid, table }: PostgresShape, shown: string): Promise<TableLock> {
    const client = await pool.connect()
    try {
      await client.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0')
      const { rows } = await client.query<{ taken: boolean }>(
        'SELECT pg_try_advisory_xact_lock($1, $2) AS taken',
        [lockSpace, oid],
      )
      if (rows[0]?.taken === true) return new TableLock(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    client.release(true)
    throw new Problem('stopped', `another run is at work on ${shown}, table ${table}`, {
      hint: 'longhold reencrypt status shows it; wait until it has ended',
    })
  }

  /** @throws Problem `stopped` once its connection is gone, and with it the lock. */
  check(): void {
    if (!this.#isLost) return
    throw new Problem('stopped', 'PostgreSQL: the connection that held the lock was lost', {
      hint: 'run the same command again: it goes on where it was',
    })
  }

  async release(): Promise<void> {
    // Asked for, so that it is free when this returns; a connection that is gone has freed it.
    const isEnded = await this.#client.query('ROLLBACK').catch(() => undefined)
    this.#client.release(isEnded === undefined)
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

/** A replacement on its way to its row. */
interface Change {
  readonly row: SourceRow
  readonly found: PostgresRow
  readonly replacement: string | Uint8Array
}

type Outcome = 'replaced' | 'changed' | 'constraint' | 'not_replaced'

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
    return await this.#with((client) => journal.latestRun(client, table, column))
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

  async isLocked(): Promise<boolean> {
    const sql = `SELECT EXISTS (SELECT 1 FROM pg_locks
      WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::int8::oid AND objid = $2::int8::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held`
    const { rows } = await translated(() =>
      this.#pool.query<{ held: boolean }>(sql, [lockSpace, this.#shape.oid]),
    )
    return rows[0]?.held === true
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
    const changes = [...replacements].map(([index, replacement]): Change => {
      const row = page.rows[index]
      const found = page instanceof TablePage ? page.found[index] : undefined
      if (row === undefined || found === undefined) throw new RangeError('a page of another source')
      return { row, found, replacement }
    })
    const outcomes = await this.#replace(client, changes)
    const dead = [...decided.dead]
    let migrated = 0
    let bytesBefore = 0
    let bytesAfter = 0
    changes.forEach(({ row, replacement }, at) => {
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

  /** All of them in one statement; one by one where one of them breaks a constraint. */
  async #replace(client: ClientBase, changes: readonly Change[]): Promise<Outcome[]> {
    if (changes.length === 0) return []
    try {
      return await savepoint(client, () => this.#replaceTogether(client, changes))
    } catch (error) {
      if (!isConstraint(error) && !(error instanceof NotKeptError)) throw error
    }
    const outcomes: Outcome[] = []
    for (const change of changes) {
      try {
        outcomes.push(...(await savepoint(client, () => this.#replaceTogether(client, [change]))))
      } catch (error) {
        if (!isConstraint(error) && !(error instanceof NotKeptError)) throw error
        outcomes.push(error instanceof NotKeptError ? 'not_replaced' : 'constraint')
      }
    }
    return outcomes
  }

  async #replaceTogether(client: ClientBase, changes: readonly Change[]): Promise<Outcome[]> {
    const own = this.#shape.columns.slice(0, this.target.ownColumns)
    const lists = [
      changes.map(({ replacement }) => replacement),
      ...this.#shape.key.map((_, part) => changes.map(({ found }) => found.key[part] ?? null)),
      ...own.map((_, index) => changes.map(({ found }) => found.cells[index] ?? null)),
    ].map((list) => list.map((value) => (value instanceof Uint8Array ? Buffer.from(value) : value)))
    const compares = this.#options.testingWithoutCompareAndSwap !== true
    const { rows: replaced } = await client.query<{ place: string; kept: boolean }>(
      replaceSql(this.#shape, own, compares),
      lists,
    )
    if (replaced.some(({ kept }) => !kept)) throw new NotKeptError()
    const outcomes: Outcome[] = changes.map(() => 'changed')
    for (const { place } of replaced) outcomes[Number(place) - 1] = 'replaced'
    if (replaced.length === changes.length) return outcomes
    // Nobody changed it, and still it was not replaced: a trigger ignores the change. Another pass would meet it again.
    const { rows: unchanged } = await client.query<{ place: string }>(unchangedSql(this.#shape, own), lists)
    for (const { place } of unchanged) outcomes[Number(place) - 1] = 'not_replaced'
    return outcomes
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

/** A trigger put something else in the column's place: the record would be lost. */
class NotKeptError extends Error {}

async function savepoint<T>(client: ClientBase, step: () => Promise<T>): Promise<T> {
  await client.query('SAVEPOINT longhold')
  try {
    const result = await step()
    await client.query('RELEASE SAVEPOINT longhold')
    return result
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT longhold')
    throw error
  }
}

/** A column of JSON holds a text of its own as a JSON string, and everything else as it is written. */
function ofJson(cell: Cell): Cell {
  if (typeof cell !== 'string' || !cell.startsWith('"')) return cell
  return JSON.parse(cell) as string // what the database holds is JSON, and this is a string
}
