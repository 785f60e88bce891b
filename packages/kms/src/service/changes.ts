/** Changes of rows, as the service asks for them: what is there, and what is to be there instead. */

import type { Rows, Stored, TableName } from './rows.ts'

/** One row before and after; undefined: there is none. */
export interface ChangeOf<T extends TableName> {
  readonly table: T
  readonly before: Stored<Rows[T]> | undefined
  readonly after: Rows[T] | undefined
}

export type Change = { [T in TableName]: ChangeOf<T> }[TableName]

/** A row that must not be there yet: neither its name nor anything else that is unique. */
export function insert<T extends TableName>(table: T, row: Rows[T]): ChangeOf<T> {
  return { table, before: undefined, after: row }
}

/** Expects the row as it was read; without `changes` it gets its next generation all the same. */
export function update<T extends TableName>(
  table: T,
  stored: Stored<Rows[T]>,
  changes: Partial<Rows[T]> = {},
): ChangeOf<T> {
  return { table, before: stored, after: { ...stored, ...changes } }
}

/** Expects the row as it was read. */
export function remove<T extends TableName>(table: T, stored: Stored<Rows[T]>): ChangeOf<T> {
  return { table, before: stored, after: undefined }
}
