/** Reads of any table. Those by key are prepared once: preparing costs several times what running does. */

import { and, asc, eq, getTableColumns, gt, sql } from 'drizzle-orm'
import type { Column, SQL } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'

import type { HeadRow, RowPage, RowReads } from '../../service/key-store.ts'
import { keyColumnsOf, tableNames, tables } from '../../service/rows.ts'
import type { KeyOf, Rows, Stored, TableName } from '../../service/rows.ts'
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
      if (within !== undefined)
        return selectPage(this.#db, table, pageCondition(table, page)).limit(limit).all()
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
  const order = keyColumnsIn(table).map(([, column]) => asc(column))
  return db
    .select()
    .from(from)
    .where(condition)
    .orderBy(...order)
}

function prepareWholePages(db: Connection['db'], table: TableName): WholePages {
  const columns = keyColumnsIn(table)
  const names = sql.join(
    columns.map(([, column]) => sql`${column}`),
    sql`, `,
  )
  const values = sql.join(
    columns.map(([name]) => sql`${sql.placeholder(name)}`),
    sql`, `,
  )
  const limit = sql.placeholder('limit')
  return {
    first: selectPage(db, table, undefined).limit(limit).prepare(),
    next: selectPage(db, table, sql`(${names}) > (${values})`)
      .limit(limit)
      .prepare(),
  }
}

function prepareByKey(db: Connection['db'], table: TableName) {
  const from: SQLiteTable = rowTables[table]
  const isIt = keyColumnsIn(table).map(([name, column]) => eq(column, sql.placeholder(name)))
  return db
    .select()
    .from(from)
    .where(and(...isIt))
    .prepare()
}

function pageCondition<T extends TableName>(table: T, { within = {}, after }: RowPage<T>): SQL | undefined {
  const columns = keyColumnsIn(table)
  const fixed = columns.filter(([name]) => name in within)
  const free = columns.filter(([name]) => !(name in within))
  const valueOf = (of: object, name: string) => buffers(of)[name]
  const conditions = fixed.map(([name, column]) => eq(column, valueOf(within, name)))
  if (after === undefined) return and(...conditions)
  const [[name, column] = [], ...others] = free
  if (name === undefined || column === undefined || others.length === 0) {
    return and(...conditions, column && gt(column, valueOf(after, name ?? '')))
  }
  const names = sql.join(
    free.map(([, one]) => sql`${one}`),
    sql`, `,
  )
  const values = sql.join(
    free.map(([one, of]) => sql.param(valueOf(after, one), of)),
    sql`, `,
  )
  return and(...conditions, sql`(${names}) > (${values})`)
}

/** The columns that name a row: their names in rows, and themselves. */
export function keyColumnsIn(table: TableName): (readonly [string, Column])[] {
  const columns: Readonly<Record<string, Column>> = getTableColumns(rowTables[table])
  return keyColumnsOf(table).flatMap((name) => {
    const column = columns[name]
    return column === undefined ? [] : [[name, column] as const]
  })
}

const byteColumns = new Map(
  tableNames.map((table) => [
    table,
    [
      'mac',
      ...Object.entries(tables[table].columns).flatMap(([name, kind]) => (kind === 'bytes' ? [name] : [])),
    ],
  ]),
)

/** What drizzle made of a row of this table, with bytes of its own: the driver's Buffers may share memory. */
export function rowFrom<T extends TableName>(table: T, row: object): Stored<Rows[T]> {
  const values = { ...row } as Record<string, unknown>
  for (const name of byteColumns.get(table) ?? []) {
    const value = values[name]
    if (value instanceof Uint8Array) values[name] = plain(value)
  }
  // The schema has the columns of the table, which the contract suite writes and reads.
  return values as unknown as Stored<Rows[T]>
}

export function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

/** The driver takes Buffers; bytes that came from another thread are plain arrays. */
export function buffers(row: object): Record<string, unknown> {
  const entries = Object.entries(row).map(([name, value]: [string, unknown]) => [
    name,
    value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
  ])
  return Object.fromEntries(entries) as Record<string, unknown>
}
