/** The columns themselves, in both dialects: a custom type each, which sees a value and nothing of its row. */

import type { SQL, SQLGenerator } from 'drizzle-orm'
import { customType as pgCustomType } from 'drizzle-orm/pg-core'
import type { ConvertCustomConfig as PgConfig, PgCustomColumnBuilder } from 'drizzle-orm/pg-core'
import { customType as sqliteCustomType } from 'drizzle-orm/sqlite-core'
import type { ConvertCustomConfig as SqliteConfig, SQLiteCustomColumnBuilder } from 'drizzle-orm/sqlite-core'

import { copyBytes, fromHex, toBase64url } from '../bytes.ts'
import { badInput, malformed } from '../errors.ts'
import { describeColumn, describeIndex } from './descriptor.ts'
import type { Descriptor, IndexDescriptor } from './descriptor.ts'
import { Encrypted, encryptedContent } from './encrypted.ts'
import type { BlindIndexBytes } from './encrypted.ts'

/** The databases there are column types for. */
export type Dialect = 'sqlite' | 'postgresql'

interface EncryptedType<T> {
  data: Encrypted<T>
  driverData: Uint8Array | string
}

interface IndexType {
  data: BlindIndexBytes
  driverData: Uint8Array
}

/** A column of type BLOB, bytea or TEXT that holds encrypted values of type `T`. */
export type EncryptedBuilder<D extends Dialect, T> = {
  sqlite: SQLiteCustomColumnBuilder<SqliteConfig<EncryptedType<T>>>
  postgresql: PgCustomColumnBuilder<PgConfig<EncryptedType<T>>>
}[D]

/** A column of type BLOB or bytea that holds a blind index. */
export type BlindIndexBuilder<D extends Dialect> = {
  sqlite: SQLiteCustomColumnBuilder<SqliteConfig<IndexType>>
  postgresql: PgCustomColumnBuilder<PgConfig<IndexType>>
}[D]

/** Which encrypted column an index is of, and how much it shows. */
export interface BlindIndexColumnOptions {
  /** The database's name of the encrypted column. */
  readonly of: string
  /** 16 to 256, default 64. Fewer bits leak less about equality and find more rows that are not meant (SPEC §8). */
  readonly bits?: number
}

export function encryptedBuilder<D extends Dialect, T>(
  dialect: D,
  descriptor: Descriptor,
): EncryptedBuilder<D, T> {
  const { name, options } = descriptor
  const isText = options.form === 'text'
  const mapping = {
    /**
     * Values come from `enc.row` alone. What Drizzle's operators compare a column with comes this way too, and would match
     * nothing: no two records are alike.
     */
    toDriver: (value: Encrypted<T>): Uint8Array | string => {
      const content = value instanceof Encrypted ? encryptedContent(value) : undefined
      if (content?.isNew === true && content.column === descriptor) return content.stored
      throw badInput(
        `the encrypted column "${name}" is neither compared with a value nor given one directly`,
        'await enc.eq(column, value) in conditions, await enc.row(table, values) for inserts and updates',
      )
    },
    fromDriver: (stored: Uint8Array | string) => readFrom<T>(stored, descriptor),
    fromJson: (stored: string) => readFrom<T>(isText ? stored : bytesOfHex(stored, name), descriptor),
  }
  describeColumn(mapping.toDriver, descriptor)
  // The row of the dialect that was asked for; TypeScript does not follow the index.
  const builders: { [Each in Dialect]: () => EncryptedBuilder<Each, T> } = {
    sqlite: () =>
      sqliteCustomType<EncryptedType<T> & { jsonData: string }>({
        dataType: () => (isText ? 'text' : 'blob'),
        ...mapping,
        ...(!isText && { forJsonSelect: sqliteHex }),
      })(name),
    postgresql: () =>
      pgCustomType<EncryptedType<T> & { jsonData: string }>({
        dataType: () => (isText ? 'text' : 'bytea'),
        ...mapping,
        ...(!isText && { forJsonSelect: (column, sql) => sql`encode(${column}, 'hex')` }),
      })(name),
  }
  return builders[dialect]()
}

export function blindIndexBuilder<D extends Dialect>(
  dialect: D,
  name: string,
  descriptor: IndexDescriptor,
): BlindIndexBuilder<D> {
  const bytes = Math.ceil(descriptor.bits / 8)
  const mapping = {
    toDriver: (value: BlindIndexBytes): Uint8Array => {
      if (value instanceof Uint8Array && value.length === bytes) return value
      throw badInput(
        `the blind index column "${name}" is compared with ${bytes} bytes`,
        'await enc.eq or enc.indexOf',
      )
    },
    // What a driver gives for a column that holds an index is one.
    fromDriver: (stored: Uint8Array) => copyBytes(stored) as Uint8Array as BlindIndexBytes,
    fromJson: (stored: string) => bytesOfHex(stored, name) as BlindIndexBytes,
  }
  describeIndex(mapping.toDriver, descriptor)
  const builders: { [Each in Dialect]: () => BlindIndexBuilder<Each> } = {
    sqlite: () =>
      sqliteCustomType<IndexType & { jsonData: string }>({
        dataType: () => 'blob',
        ...mapping,
        forJsonSelect: sqliteHex,
      })(name),
    postgresql: () =>
      pgCustomType<IndexType & { jsonData: string }>({
        dataType: () => 'bytea',
        ...mapping,
        forJsonSelect: (column, sql) => sql`encode(${column}, 'hex')`,
      })(name),
  }
  return builders[dialect]()
}

/** The form as it is written to a column. */
export function storedForm(record: Uint8Array, { options }: Descriptor): Uint8Array | string {
  return options.form === 'text' ? toBase64url(record) : record
}

function readFrom<T>(stored: Uint8Array | string, column: Descriptor): Encrypted<T> {
  const own = typeof stored === 'string' ? stored : copyBytes(stored)
  return new Encrypted<T>({ column, stored: own, isNew: false })
}

/** Relational queries collect rows as JSON. hex() of NULL would be an empty text. */
function sqliteHex(column: SQL, sql: SQLGenerator): SQL {
  return sql`iif(${column} is null, null, hex(${column}))`
}

function bytesOfHex(text: string, name: string): Uint8Array {
  const bytes = typeof text === 'string' ? fromHex(text) : undefined
  if (bytes === undefined) throw malformed(`column "${name}" in a JSON result`)
  return bytes
}
