/** Rows with encrypted values and rows with plain ones. */

import type { Column, InferInsertModel, Table } from 'drizzle-orm'

import type { BlindIndexBytes, Encrypted } from './encrypted.ts'

type Plain<V> = V extends Encrypted<infer T> ? T : V
type IsIndex<V> = [Extract<V, BlindIndexBytes>] extends [never] ? false : true

/** What `enc.open` gives for a row: values in place of encrypted ones. NULL stays `null`. */
export type Opened<R> = { [K in keyof R]: Plain<R[K]> }

/** What `enc.row` takes: plain values, and no blind indexes, which it fills in. */
export type PlainRow<TTable extends Table> = {
  [
    K in keyof InferInsertModel<TTable> as IsIndex<InferInsertModel<TTable>[K]> extends true ? never : K
  ]: Plain<InferInsertModel<TTable>[K]>
}

/** What `enc.changes` takes: the row's id, and what is to be changed. */
export type PlainChanges<TTable extends Table> = Partial<PlainRow<TTable>>

/** What an encrypted column's values are. */
export type PlaintextOf<TColumn extends Column> = TColumn['_']['data'] extends Encrypted<infer T> ? T : never
