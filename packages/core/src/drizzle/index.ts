/**
 * Encrypted columns for Drizzle, on SQLite and PostgreSQL.
 *
 * @module @longhold/core/drizzle
 */

export { encryptedColumns } from './encrypted-columns.ts'
export type { EncryptedColumns, EncryptedColumnsOptions } from './encrypted-columns.ts'
export type { IndexKeySource, KeySource } from './key-source.ts'
export { Encrypted } from './encrypted.ts'
export type { BlindIndexBytes } from './encrypted.ts'
export type { BlindIndexBuilder, BlindIndexColumnOptions, Dialect, EncryptedBuilder } from './builders.ts'
export { afterMigrating, whileMigrating } from './migrating.ts'
export type { ColumnOptions, StoredForm } from './migrating.ts'
export type { Opened, PlainChanges, PlainRow, PlaintextOf } from './row-types.ts'
