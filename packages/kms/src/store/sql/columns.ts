/** What `service/rows.ts` says of tables, as both SQL stores make their schema of it. */

import { columnFact, keyColumnsOf, tables } from '../../service/rows.ts'
import type { ColumnKind, TableName } from '../../service/rows.ts'

/** Makes a column of one database, which may be null until one says otherwise. */
export type ColumnBuilders<B> = Readonly<Record<ColumnKind, (name: string) => { notNull(): B } & B>>

/** What no two rows have the same of, beside their keys. `where` is SQL. */
export interface UniqueIndex {
  readonly name: string
  readonly on: string
  readonly where?: string
}

const uniqueIndexes: { readonly [T in TableName]?: readonly UniqueIndex[] } = {
  versions: [
    { name: 'versions_recipient_id', on: 'recipientId' },
    // The database too knows that a key has one primary.
    { name: 'versions_one_primary', on: 'key', where: "state = 'primary'" },
  ],
  audit_heads: [{ name: 'audit_heads_ordinal', on: 'ordinal' }],
}

export function uniqueIndexesOf(table: TableName): readonly UniqueIndex[] {
  return uniqueIndexes[table] ?? []
}

/** The columns of a table, and those of `RowMark`; in the database their names are in snake case. */
export function columnsFor<B>(table: TableName, builders: ColumnBuilders<B>): Record<string, B> {
  const content = Object.entries(tables[table].columns).map(([name, fact]) => {
    const { kind, isNullable } = columnFact(fact)
    const column = builders[kind](snake(name))
    return [name, isNullable ? column : column.notNull()] as const
  })
  return {
    ...Object.fromEntries<B>(content),
    generation: builders.number('generation').notNull(),
    mac: builders.bytes('mac').notNull(),
  }
}

/** The columns that name a row, of which there is one or more. */
export function keyOf<C>(table: TableName, columns: Readonly<Record<string, C>>): [C, ...C[]] {
  const [first, ...others] = keyColumnsOf(table).map((name) => columnNamed(columns, name))
  if (first === undefined) throw new TypeError(`no key: ${table}`)
  return [first, ...others]
}

export function columnNamed<C>(columns: Readonly<Record<string, C>>, name: string): C {
  const found = columns[name]
  if (found === undefined) throw new TypeError(`no such column: ${name}`)
  return found
}

function snake(name: string): string {
  return name.replace(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`)
}
