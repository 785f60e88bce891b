/** Rows of any table in SQL: which one, which page, and what comes back. Both stores read and write by it. */

import { and, eq, getTableColumns, is, Placeholder, sql } from 'drizzle-orm'
import type { Column, SQL, Table } from 'drizzle-orm'

import type { Outcome } from '../../service/key-store.ts'
import { columnFact, keyColumnsOf, tableNames, tables } from '../../service/rows.ts'
import type { Stored, Rows, TableName } from '../../service/rows.ts'
import { columnNamed } from './columns.ts'

/** Its name in rows, and itself. */
export type NamedColumn = readonly [string, Column]
/** By the names of columns: values, or placeholders for them. */
type Values = Readonly<Record<string, unknown>>

/** The tables of one database. */
export type RowTables = Readonly<Record<TableName, Table>>

/** The columns that name a row. */
export function keyColumnsIn(rowTables: RowTables, table: TableName): NamedColumn[] {
  const columns: Readonly<Record<string, Column>> = getTableColumns(rowTables[table])
  return keyColumnsOf(table).map((name) => [name, columnNamed(columns, name)])
}

/** For the columns that name a row. */
export function keyParameters(table: TableName): Record<string, Placeholder> {
  return Object.fromEntries(keyColumnsOf(table).map((name) => [name, sql.placeholder(name)]))
}

/** Whether it is the row of that key. */
export function isRow(keyColumns: readonly NamedColumn[], key: Values): SQL | undefined {
  return and(...keyColumns.map(([name, column]) => eq(column, key[name])))
}

/** Whether it belongs to a page: it has the values of `within`, and comes after `after` in the rest of the key. */
export function isInPage(
  keyColumns: readonly NamedColumn[],
  { within = {}, after }: { readonly within?: Values | undefined; readonly after?: Values | undefined },
): SQL | undefined {
  const fixed = keyColumns.filter(([name]) => name in within)
  const free = keyColumns.filter(([name]) => !(name in within))
  return and(isRow(fixed, within), after && isAfter(free, after))
}

function isAfter(columns: readonly NamedColumn[], last: Values): SQL {
  // One row at most.
  if (columns.length === 0) return sql`false`
  const list = (parts: SQL[]) => sql.join(parts, sql`, `)
  const names = list(columns.map(([, column]) => sql`${column}`))
  const values = list(
    columns.map(([name, column]) => {
      const value = last[name]
      return is(value, Placeholder) ? sql`${value}` : sql`${sql.param(value, column)}`
    }),
  )
  return sql`(${names}) > (${values})`
}

const byteColumns = new Map(
  tableNames.map((table) => [
    table,
    [
      'mac',
      ...Object.entries(tables[table].columns).flatMap(([name, fact]) =>
        columnFact(fact).kind === 'bytes' ? [name] : [],
      ),
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

/** Ends a transaction with nothing written. */
export class Refusal extends Error {
  readonly outcome: Exclude<Outcome, 'done'>
  constructor(outcome: Exclude<Outcome, 'done'>) {
    super(outcome)
    this.outcome = outcome
  }
}
