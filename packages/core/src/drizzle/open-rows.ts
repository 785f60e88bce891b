/** From rows with encrypted values to rows with plain ones. */

import { LongholdError, badInput, malformed } from '../errors.ts'
import { decodeRecord } from '../format/container.ts'
import { fromText } from '../format/text.ts'
import type { DataKey, RecordOptions } from '../keys/data-key.ts'
import { withDataKeys } from '../keys/keyring-handle.ts'
import type { DataKeyHandle } from '../keys/keyring-handle.ts'
import type { Descriptor } from './descriptor.ts'
import { Encrypted, encryptedContent } from './encrypted.ts'
import { decodeByType } from './migrating.ts'
import { rowIdText } from './row-id.ts'

interface OpenOptions {
  readonly handle: DataKeyHandle
  readonly table: string
  readonly rowIdKeys: readonly string[]
  readonly family: object
}

/** One encrypted value of one row. */
interface Field {
  /** Its copy, which becomes the plain row. */
  readonly row: Record<string, unknown>
  /** Among the rows given: what an error says instead of anything that is in the row. */
  readonly at: number
  readonly name: string
  readonly column: Descriptor
  readonly stored: Uint8Array | string
  /** `undefined` for what is still in the old form. */
  readonly record: { readonly bytes: Uint8Array; readonly keyId: Uint8Array } | undefined
}

export async function openRows(rows: readonly object[], options: OpenOptions): Promise<object[]> {
  if (
    rows.some(
      (row) => typeof row === 'object' && row !== null && 'then' in row && typeof row.then === 'function',
    )
  )
    throw badInput('open: a promise or a query where a row is expected', 'await it first')
  // A select of one row gives undefined where there is none, which must not become a row without anything in it.
  if (rows.some((row) => typeof row !== 'object' || row === null))
    throw badInput('open: a row must be an object')
  const plain = rows.map((row): Record<string, unknown> => ({ ...row }))
  const fields = plain.flatMap((row, at) => fieldsOf(row, at, options))
  const keyIds = fields.flatMap(({ record }) => (record === undefined ? [] : [record.keyId]))
  const values = new Map<Field, unknown>()
  if (keyIds.length > 0) {
    await withDataKeys(options.handle, keyIds, (dataKeyOf) => {
      for (const field of fields) {
        if (field.record === undefined) continue
        const { bytes } = field.record
        const recordContext = { table: options.table, column: field.column.name, id: idOf(field, options) }
        values.set(field, openRecord(dataKeyOf(bytes), bytes, { recordContext }, field))
      }
    })
  }
  for (const field of fields) {
    if (field.record !== undefined) continue
    // The row as it was given: what other columns of the old layout hold is not touched.
    values.set(
      field,
      await field.column.options.open?.(field.stored, rows[field.at] as Record<string, unknown>),
    )
  }
  for (const [field, value] of values) field.row[field.name] = value
  return plain
}

function fieldsOf(row: Record<string, unknown>, at: number, { family }: OpenOptions): Field[] {
  return Object.entries(row).flatMap(([name, value]) => {
    if (!(value instanceof Encrypted)) return []
    const { column, stored } = encryptedContent(value)
    if (column.family !== family)
      throw badInput(
        `"${name}" is of another table's encrypted columns`,
        'open each table’s rows with its own',
      )
    try {
      const bytes = recordFrom(stored)
      if (bytes === undefined && column.options.open === undefined) throw malformed('no longhold record')
      const record = bytes && { bytes, keyId: decodeRecord(bytes).keyId }
      return [{ row, at, name, column, stored, record }]
    } catch (error) {
      throw error instanceof LongholdError ? located(error, { at, column }) : error
    }
  })
}

/** `undefined` for what is not in longhold's form. What begins like it is not tried any other way. */
function recordFrom(stored: Uint8Array | string): Uint8Array | undefined {
  if (typeof stored !== 'string') {
    const isOurs = stored[0] === 0x4c && stored[1] === 0x48 && (stored[2] === 0x52 || stored[2] === 0x45)
    return isOurs ? stored : undefined
  }
  // LHR and LHE in the text form.
  const isOurs = stored.startsWith('TEhS') || stored.startsWith('TEhF')
  return isOurs ? fromText(stored) : undefined
}

function openRecord(dataKey: DataKey, record: Uint8Array, options: RecordOptions, field: Field): unknown {
  const { type, options: columnOptions } = field.column
  try {
    const value = decrypted(dataKey, record, options, columnOptions.decode !== undefined)
    if (value instanceof Uint8Array) {
      const { decode } = columnOptions
      return typeof decode === 'function' ? decode(value) : decodeByType(value, type)
    }
    if (value.type === type) return value.value
    throw new LongholdError('bad_value', `a value of type ${value.type}, where ${type} is expected`)
  } catch (error) {
    throw error instanceof LongholdError ? located(error, field) : error
  }
}

/** A typed value, or the bytes of a record that `longhold reencrypt` wrote, where those may stand. */
function decrypted(dataKey: DataKey, record: Uint8Array, options: RecordOptions, mayBeBytes: boolean) {
  if (!mayBeBytes) return dataKey.decryptValue(record, options)
  try {
    return dataKey.decryptValue(record, options)
  } catch (error) {
    // A record says nothing of which of the two it is. Both are bound to this key and this place.
    if (error instanceof LongholdError && error.code === 'cannot_open')
      return dataKey.decrypt(record, options)
    throw error
  }
}

function idOf({ row }: Field, { rowIdKeys }: OpenOptions): string {
  // Databases give UUIDs in lower case; one that is text stays as it is.
  return rowIdText(rowIdKeys.map((key) => ({ key, value: row[key], isUuid: false })))
}

/** Which of the rows and columns it was. The row is named by its place, not by anything in it. */
function located(error: LongholdError, { at, column }: Pick<Field, 'at' | 'column'>): LongholdError {
  const where = `column "${column.name}" of row ${at} of those given`
  const hint = error.hint === undefined ? where : `${where}; ${error.hint}`
  return new LongholdError(error.code, error.message, { hint, cause: error.cause })
}
