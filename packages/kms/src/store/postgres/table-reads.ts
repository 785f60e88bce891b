/** Reads of any table, outside a transaction or in one. */

import { and, asc, eq, getTableColumns, gt, sql } from 'drizzle-orm'
import type { Column, SQL } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'

import type { HeadRow, RowPage, RowReads } from '../../service/key-store.ts'
import { keyColumnsOf, tableNames, tables } from '../../service/rows.ts'
import type { KeyOf, Rows, Stored, TableName } from '../../service/rows.ts'
import { translated } from './connection.ts'
import type { Database } from './connection.ts'
import { clusterHead, rowTables } from './schema.ts'

export class TableReads implements RowReads {
  readonly #db: Pick<Database, 'select'>

  constructor(db: Pick<Database, 'select'>) {
    this.#db = db
  }

  async head(): Promise<HeadRow | undefined> {
    const { epoch, rowCount, maskedSum, mac } = clusterHead
    const [row] = await translated(async () =>
      this.#db.select({ epoch, rowCount, maskedSum, mac }).from(clusterHead),
    )
    return row && { ...row, maskedSum: plain(row.maskedSum), mac: plain(row.mac) }
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    const from: PgTable = rowTables[table]
    const [row] = await translated(async () => this.#db.select().from(from).where(isRow(table, key)))
    return row && rowFrom(table, row)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    const from: PgTable = rowTables[table]
    const rows = await translated(async () =>
      this.#db
        .select()
        .from(from)
        .where(pageCondition(table, page))
        .orderBy(...keyColumnsIn(table).map(([, column]) => asc(column)))
        .limit(page.limit),
    )
    return rows.map((row) => rowFrom(table, row))
  }
}

/** Whether it is the row of that key. */
export function isRow(table: TableName, key: object): SQL | undefined {
  const values = key as Readonly<Record<string, unknown>>
  return and(...keyColumnsIn(table).map(([name, column]) => eq(column, values[name])))
}

function pageCondition<T extends TableName>(table: T, { within = {}, after }: RowPage<T>): SQL | undefined {
  const fixed = within as Readonly<Record<string, unknown>>
  const columns = keyColumnsIn(table)
  const conditions = columns
    .filter(([name]) => name in fixed)
    .map(([name, column]) => eq(column, fixed[name]))
  if (after === undefined) return and(...conditions)
  const last = after as Readonly<Record<string, unknown>>
  const free = columns.filter(([name]) => !(name in fixed))
  const [[name, column] = [], ...others] = free
  if (name === undefined || column === undefined) return and(...conditions, sql`false`)
  if (others.length === 0) return and(...conditions, gt(column, last[name]))
  const list = (parts: SQL[]) => sql.join(parts, sql`, `)
  const names = list(free.map(([, one]) => sql`${one}`))
  const values = list(free.map(([one, of]) => sql`${sql.param(last[one], of)}`))
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
