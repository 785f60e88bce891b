/**
 * Statements that drizzle words and the driver runs. Drizzle's own way from values to a statement, and from what comes
 * back to objects, takes several times as long as SQLite does; these do the same with what is known of each column.
 */

import { getTableColumns, is, Param, Placeholder } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'

import type { ColumnKind, Rows, Stored, TableName } from '../../service/rows.ts'
import { columnFact, tables } from '../../service/rows.ts'
import { translated } from './connection.ts'
import type { Connection } from './connection.ts'
import { rowTables } from './schema.ts'

/** By the names of columns. */
type Values = Readonly<Record<string, unknown>>

/** As drizzle makes them. */
interface Query {
  toSQL(): { readonly sql: string; readonly params: readonly unknown[] }
}

export interface WriteStatement {
  run(values: Values): { readonly changes: number }
}

/** Rows with bytes of their own. Throws ServiceError `storage_unavailable`. */
export interface ReadStatement<T extends TableName> {
  get(values: Values): Stored<Rows[T]> | undefined
  all(values: Values): Stored<Rows[T]>[]
}

export function prepareWrite({ client }: Connection, query: Query): WriteStatement {
  const { sql, params } = query.toSQL()
  const statement = client.prepare(sql)
  const bind = binderOf(params)
  return { run: (values) => statement.run(bind(values)) }
}

/** @param query Selects all columns of the table, in its order. */
export function prepareRead<T extends TableName>(
  { client }: Connection,
  table: T,
  query: Query,
): ReadStatement<T> {
  const { sql, params } = query.toSQL()
  const statement = client.prepare<unknown[], unknown[]>(sql).raw()
  const bind = binderOf(params)
  const read = readerOf(table)
  return {
    get: (values) =>
      translated(() => {
        const row = statement.get(bind(values))
        return row && read(row)
      }),
    all: (values) => translated(() => statement.all(bind(values)).map(read)),
  }
}

function binderOf(params: readonly unknown[]): (values: Values) => unknown[] {
  const parts = params.map((param): ((values: Values) => unknown) => {
    if (is(param, Placeholder)) return byName(param)
    if (!is(param, Param)) return () => param
    const { value, encoder } = param
    const given = is(value, Placeholder) ? byName(value) : () => value
    return (values) => {
      const one = given(values)
      return one === null ? null : encoder.mapToDriverValue(one)
    }
  })
  return (values) => parts.map((part) => part(values))
}

/** What stands for a value to come has a name, which drizzle keeps to itself and says in JSON. */
function byName(toCome: Placeholder): (values: Values) => unknown {
  const { name } = JSON.parse(JSON.stringify(toCome)) as { readonly name: string }
  return (values) => values[name]
}

type Reader<T extends TableName> = (values: readonly unknown[]) => Stored<Rows[T]>

function readerOf<T extends TableName>(table: T): Reader<T> {
  const of: SQLiteTable = rowTables[table]
  const facts: Readonly<Record<string, Parameters<typeof columnFact>[0]>> = tables[table].columns
  const columns = Object.keys(getTableColumns(of)).map((name): readonly [string, ColumnKind] => {
    const fact = facts[name]
    if (fact !== undefined) return [name, columnFact(fact).kind]
    // What every row carries.
    return [name, name === 'mac' ? 'bytes' : 'number']
  })
  return (values) => {
    const row: Record<string, unknown> = {}
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]
      if (column !== undefined) row[column[0]] = fromDriver(column[1], values[index])
    }
    // The schema has the columns of the table, which the contract suite writes and reads.
    return row as unknown as Stored<Rows[T]>
  }
}

function fromDriver(kind: ColumnKind, value: unknown): unknown {
  if (value === null) return null
  switch (kind) {
    case 'bytes':
      return value instanceof Uint8Array ? plain(value) : value
    case 'boolean':
      return value === 1
    case 'json':
      return typeof value === 'string' ? parsed(value) : value
    default:
      return value
  }
}

const maxKept = 500
const maxKeptLength = 4096
const kept = new Map<string, unknown>()

/** What tokens and keys say in JSON is read with every request, and is the same each time: nobody can change it. */
function parsed(text: string): unknown {
  const known = kept.get(text)
  if (known !== undefined) return known
  const value = frozen(JSON.parse(text))
  if (text.length > maxKeptLength) return value
  if (kept.size === maxKept) kept.clear()
  kept.set(text, value)
  return value
}

function frozen(value: unknown): unknown {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}

/** The driver gives each value a Buffer with memory of its own: nobody else has it. */
function plain(bytes: Uint8Array): Uint8Array {
  const isWhole = bytes.byteLength === bytes.buffer.byteLength
  return isWhole ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes)
}
