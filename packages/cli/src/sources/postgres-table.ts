/**
 * A table of a PostgreSQL database, one value a row, while other processes go on writing. Journal and data keys are in
 * the same database, so that rows and position commit together.
 */

import type { ClientBase, Pool } from 'pg'

import { openPool, shownPlace, transaction, translate, translated } from './postgres-connection.ts'
import type { PostgresPlace } from './postgres-connection.ts'
import { forgetFleet, hasFleetTables, withRanges } from './postgres-fleet-journal.ts'
import * as journal from './postgres-journal.ts'
import { TableLock } from './postgres-lock.ts'
import type { TableLockKind } from './postgres-lock.ts'
import { ofJson, PostgresPages } from './postgres-pages.ts'
import type { KeyRange } from './postgres-pages.ts'
import { putBack } from './postgres-replace.ts'
import { readPostgresShape } from './postgres-schema.ts'
import type { PostgresShape } from './postgres-schema.ts'
import type { Cell, DecidedPage, Page, PageLimits, PutBack, RowReader, RowSource } from './row-source.ts'
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
  return await openTableOfPostgres(options, undefined)
}

/** @throws Problem `stopped` when another run is at work on the table, `wrong` for what cannot be. */
export async function openPostgresTable(options: PostgresTableOptions): Promise<RowSource> {
  return await openTableOfPostgres(options, 'alone')
}

/** @param kind Undefined: without a lock. @throws Problem as `openPostgresTable`. */
export async function openTableOfPostgres(
  options: PostgresTableOptions,
  kind: TableLockKind | undefined,
): Promise<PostgresTable> {
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
      const shown = `${shownPlace(options.url)}, table ${shape.table}`
      const lock = kind === undefined ? undefined : await TableLock.take(pool, shape.oid, kind, shown)
      return new PostgresTable(options, pool, shape, lock)
    })
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** With what a fleet needs beside a source: its pages in a range of keys, and its transactions. */
export class PostgresTable implements RowSource {
  readonly isStill = false
  readonly target: TargetDescription
  readonly #options: PostgresTableOptions
  readonly #pool: Pool
  readonly shape: PostgresShape
  readonly #lock: TableLock | undefined
  readonly pages: PostgresPages
  #savedAtMs = -Infinity

  constructor(options: PostgresTableOptions, pool: Pool, shape: PostgresShape, lock: TableLock | undefined) {
    this.#options = options
    this.#pool = pool
    this.shape = shape
    this.#lock = lock
    this.pages = new PostgresPages(
      shape,
      options.columns.own.length,
      options.testingWithoutCompareAndSwap !== true,
    )
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
      this.#pool.query<{ total: string }>(`SELECT count(*) AS total FROM ${this.shape.from}`),
    )
    return { unit: 'rows', total: Number(rows[0]?.total ?? 0) }
  }

  progressOf({ counts }: RunState): number {
    return counts.found + counts.empty
  }

  async read(after: string | undefined, limits: PageLimits): Promise<Page> {
    return await this.readRange({ after }, limits)
  }

  async readRange(range: KeyRange, limits: PageLimits): Promise<Page> {
    return await translated(() => this.pages.read(this.#pool, range, limits))
  }

  async latestRun(): Promise<RunState | undefined> {
    const { table, column } = this.target
    return await this.look(async (client) => {
      const [latest] = await journal.runsOn(client, table, column)
      return latest && (await withRanges(client, [latest]))[0]
    })
  }

  async runs(): Promise<readonly RunState[]> {
    const { table, column } = this.target
    return await this.look(async (client) => withRanges(client, await journal.runsOn(client, table, column)))
  }

  async *deadLetters(runId: string): AsyncIterable<DeadLetter> {
    try {
      yield* journal.deadLetters(this.#pool, runId)
    } catch (error) {
      throw translate(error)
    }
  }

  async dataKey(keyId: string): Promise<StoredDataKey | undefined> {
    return await this.look((client) => journal.dataKey(client, keyId))
  }

  async ask(sql: string): Promise<number> {
    return await this.look(async (client) => {
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
    return await translated(() => TableLock.isHeld(this.#pool, this.shape.oid))
  }

  /** The application may have written old values since: a table is looked at again every time. */
  finishedRun(): undefined {}

  async begin(state: RunState): Promise<void> {
    await this.change(async (client) => {
      await journal.makeJournal(client)
      await journal.retireDataKeys(client, state.dataKeys)
      await journal.saveRun(client, state)
    })
  }

  async addDataKey(state: RunState, key: StoredDataKey): Promise<RunState> {
    const next = { ...state, dataKeys: [...state.dataKeys, key.keyId] }
    await this.change(async (client) => {
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
    return await this.change(async (client) => {
      let next: RunState = { ...state, updatedAt: new Date().toISOString() }
      for (const page of pages) {
        next = afterPage(next, page, await this.pages.write(client, next, page))
      }
      await journal.saveRun(client, next)
      return next
    })
  }

  async store(state: RunState): Promise<void> {
    await this.change(async (client) => {
      // Its members are gone, or there would be no lock for this one; the state has what their ranges had.
      if (await hasFleetTables(client)) await forgetFleet(client, state.runId)
      if (state.position === undefined && state.status === 'running')
        await journal.clearDead(client, state.runId)
      await journal.saveRun(client, state)
    })
  }

  async retireDataKeys(keyIds: readonly string[]): Promise<void> {
    await this.change((client) => journal.retireDataKeys(client, keyIds))
  }

  /** The rows are where they belong already. */
  finish(): void {}

  async putBack(
    state: RunState,
    isOurs: (cell: Cell) => boolean,
    after: string | undefined,
  ): Promise<PutBack | undefined> {
    const own = this.shape.columns.slice(0, this.target.ownColumns)
    return await this.change((client) =>
      putBack(client, {
        runId: state.runId,
        isOurs: (cell) => isOurs(ofJson(cell)),
        after,
        shape: this.shape,
        own,
      }),
    )
  }

  async finalize(state: RunState): Promise<void> {
    await this.change(async (client) => {
      await journal.forgetOriginals(client, state.runId)
      await journal.saveRun(client, state)
    })
  }

  async close(): Promise<void> {
    await this.#lock?.release()
    await this.#pool.end()
  }

  /** Looks something up outside any transaction. @throws Problem */
  async look<T>(step: (client: ClientBase) => Promise<T>): Promise<T> {
    return await translated(async () => {
      const client = await this.#pool.connect()
      try {
        return await step(client)
      } finally {
        client.release()
      }
    })
  }

  /** One transaction, durable when it ends. @throws Problem */
  async change<T>(step: (client: ClientBase) => Promise<T>): Promise<T> {
    this.#lock?.check()
    return await transaction(this.#pool, this.#options, step)
  }
}
