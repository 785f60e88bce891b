/** Columns that do not, or did not always, hold what `enc.row` writes. */

import { fromUtf8 } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import type { ValueType } from '../format/value.ts'
import { checkOptions } from '../options.ts'

/** Bytes in columns of type BLOB or bytea, the text form in columns of type TEXT (SPEC §6.6, §12). */
export type StoredForm = 'bytes' | 'text'

/** How a column is stored, and what else than records of typed values it may hold. */
export interface ColumnOptions<T> {
  /** Default `bytes`. */
  readonly form?: StoredForm
  /** Opens what is no record: see `whileMigrating`. */
  readonly open?: (stored: Uint8Array | string, row: Readonly<Record<string, unknown>>) => T | Promise<T>
  /** The value in a record of raw bytes: see `afterMigrating`. */
  readonly decode?: ((plaintext: Uint8Array) => T) | 'by type'
}

interface Decoding<T> {
  readonly form?: StoredForm
  /**
   * The value from the plaintext of a record that `longhold reencrypt` wrote, which is the bytes the old ciphertext
   * held. Default: text and JSON from UTF-8, bytes as they are; the other types need it.
   */
  readonly decode?: (plaintext: Uint8Array) => T
}

/**
 * Options of a column in which both forms stand: records, written by `enc.row` or by `longhold reencrypt`, and values in
 * the form the application had before. New values are records; old ones are opened by the decryption the application
 * already has. When every value is a record, `afterMigrating` takes its place. Never throws; what `open` throws reaches
 * whoever called `enc.open`.
 */
export function whileMigrating<T>(
  options: Decoding<T> & {
    /**
     * Opens what is no record, and only that: a record that does not open is an error, and is not tried the old way.
     * `stored` is the column as the driver gives it, `row` the row that was given to `enc.open`.
     */
    readonly open: (stored: Uint8Array | string, row: Readonly<Record<string, unknown>>) => T | Promise<T>
  },
): ColumnOptions<T> {
  checkOptions(options, ['form', 'open', 'decode'], 'whileMigrating')
  return { ...options, decode: options.decode ?? 'by type' }
}

/** Options of a column whose records `longhold reencrypt` wrote, besides those that `enc.row` writes. Never throws. */
export function afterMigrating<T>(options: Decoding<T> = {}): ColumnOptions<T> {
  checkOptions(options, ['form', 'decode'], 'afterMigrating')
  return { ...options, decode: options.decode ?? 'by type' }
}

/** @throws LongholdError `bad_value` when the bytes are no value of the type. */
export function decodeByType(plaintext: Uint8Array, type: ValueType): unknown {
  if (type === 'bytes') return plaintext
  const text = fromUtf8(plaintext)
  if (text !== undefined && type === 'string') return text
  if (text !== undefined && type === 'json') {
    try {
      return JSON.parse(text)
    } catch {
      // its text could hold what was in the record
    }
  }
  const hint = 'say with "decode" how the value is read from the bytes'
  throw new LongholdError('bad_value', `a record of bytes that are no ${type}`, { hint })
}
