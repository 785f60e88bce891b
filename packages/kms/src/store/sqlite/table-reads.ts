/** Reads of any table. Those by key are prepared once: preparing costs several times what running does. */

import { asc, sql } from 'drizzle-orm'
import type { Placeholder, SQL } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'

import type { HeadRow, RowPage, RowReads } from '../../service/key-store.ts'
import { keyColumnsOf, tableNames } from '../../service/rows.ts'
import type { KeyOf, Rows, Stored, TableName } from '../../service/rows.ts'
import { isInPage, isRow, keyColumnsIn, plain, rowFrom } from '../sql/rows.ts'
import { translated } from './connection.ts'
import type { Connection } from './connection.ts'
import { clusterHead, rowTables } from './schema.ts'

export class TableReads implements RowReads {
  readonly #db: Connection['db']
  readonly #byKey: ReadonlyMap<TableName, { get(values: Record<string, unknown>): object | undefined }>
  readonly #head: { get(): HeadRow | undefined }
  /** Of whole tables. */
  readonly #pages = new Map<TableName, WholePages>()

  /** @throws ServiceError `storage_unavailable`. */
  constructor({ db }: Connection) {
    this.#db = db
    this.#byKey = translated(() => new Map(tableNames.map((table) => [table, prepareByKey(db, table)])))
    const { epoch, rowCount, maskedSum, mac } = clusterHead
    this.#head = translated(() => db.select({ epoch, rowCount, maskedSum, mac }).from(clusterHead).prepare())
  }

  async head(): Promise<HeadRow | undefined> {
    const row = translated(() => this.#head.get())
    return row && { ...row, maskedSum: plain(row.maskedSum), mac: plain(row.mac) }
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    const row = translated(() => this.#byKey.get(table)?.get(buffers(key)))
    return row && rowFrom(table, row)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    return (await this.borrowedRows(table, page)).map((row) => rowFrom(table, row))
  }

  /** The same with bytes that may share memory with the driver: to be read at once, and not changed. */
  async borrowedRows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    const { within, after, limit } = page
    const rows: unknown = translated(() => {
      if (within !== undefined) {
        const isOne = isInPage(keyColumnsIn(rowTables, table), {
          within: buffers(within),
          after: after && buffers(after),
        })
        return selectPage(this.#db, table, isOne).limit(limit).all()
      }
      const pages = this.#pages.get(table) ?? prepareWholePages(this.#db, table)
      this.#pages.set(table, pages)
      return after === undefined ? pages.first.all({ limit }) : pages.next.all({ ...buffers(after), limit })
    })
    // The schema has the columns of the table, which the contract suite writes and reads.
    return rows as Stored<Rows[T]>[]
  }
}

interface WholePages {
  readonly first: { all(values: Record<string, unknown>): object[] }
  readonly next: { all(values: Record<string, unknown>): object[] }
}

function selectPage(db: Connection['db'], table: TableName, condition: SQL | undefined) {
  const from: SQLiteTable = rowTables[table]
  const order = keyColumnsIn(rowTables, table).map(([, column]) => asc(column))
  return db
    .select()
    .from(from)
    .where(condition)
    .orderBy(...order)
}

function prepareWholePages(db: Connection['db'], table: TableName): WholePages {
  const after = isInPage(keyColumnsIn(rowTables, table), { after: keyPlaceholders(table) })
  const limit = sql.placeholder('limit')
  return {
    first: selectPage(db, table, undefined).limit(limit).prepare(),
    next: selectPage(db, table, after).limit(limit).prepare(),
  }
}

function prepareByKey(db: Connection['db'], table: TableName) {
  const from: SQLiteTable = rowTables[table]
  return db
    .select()
    .from(from)
    .where(isRow(keyColumnsIn(rowTables, table), keyPlaceholders(table)))
    .prepare()
}

/** For the columns that name a row. */
export function keyPlaceholders(table: TableName): Record<string, Placeholder> {
  return Object.fromEntries(keyColumnsOf(table).map((name) => [name, sql.placeholder(name)]))
}

/** The driver takes Buffers; bytes that came from another thread are plain arrays. */
export function buffers(row: object): Record<string, unknown> {
  const entries = Object.entries(row).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
  ])
  return Object.fromEntries(entries) as Record<string, unknown>
}
