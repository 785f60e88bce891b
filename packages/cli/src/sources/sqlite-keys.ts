/**
 * How rows are named, in order, in WHERE clauses and to people. Pages follow the rowid where there is one, else the
 * primary key. Text in a key is carried as bytes: what is not UTF-8 would otherwise come back as another key, and
 * a page after it would begin before it.
 */

import { isUtf8 } from 'node:buffer'

import type { Cell } from './row-source.ts'
import { quoted } from './sqlite-schema.ts'
import type { TableShape } from './sqlite-schema.ts'

/** One column of a primary key, as read. */
export interface KeyPart {
  readonly type: 'integer' | 'real' | 'text' | 'blob' | 'null'
  /** Bytes for text and blob. */
  readonly value: bigint | number | Uint8Array | null
}

/** What SELECT must list for one key column, two results each. */
export function keyColumns({ key }: Pick<TableShape, 'key'>): string[] {
  return key
    .map(quoted)
    .flatMap((name) => [
      `typeof(${name})`,
      `CASE typeof(${name}) WHEN 'text' THEN CAST(${name} AS BLOB) ELSE ${name} END`,
    ])
}

/** The key parts among a row's results. */
export function keyParts(results: readonly Cell[], start: number, count: number): KeyPart[] {
  return Array.from({ length: count }, (_, index) => {
    // typeof() gives exactly these five words, and the driver a value of that type.
    const type = results[start + 2 * index] as KeyPart['type']
    const value = results[start + 2 * index + 1] as KeyPart['value']
    return { type, value }
  })
}

/** An expression for one key part; binds `keyParameters`. */
export const keyParameter = 'CASE ? WHEN 1 THEN CAST(? AS TEXT) ELSE ? END'

export function keyParameters(parts: readonly KeyPart[]): (bigint | number | Uint8Array | null)[] {
  return parts.flatMap(({ type, value }) => (type === 'text' ? [1, value, null] : [0, null, value]))
}

/**
 * The `id` of a record context: decimal, the text itself, hexadecimal of bytes; several columns as a JSON array of
 * those. Undefined where a part has no such form: NULL, a floating-point number, text that is not UTF-8.
 */
export function recordId(parts: readonly KeyPart[]): string | undefined {
  const forms = parts.map(formOfPart)
  if (forms.some((form) => form === undefined)) return undefined
  const [only = ''] = forms
  return forms.length === 1 ? only : JSON.stringify(forms)
}

function formOfPart({ type, value }: KeyPart): string | undefined {
  if (type === 'integer') return String(value)
  if (!(value instanceof Uint8Array)) return undefined
  if (type === 'blob') return Buffer.from(value).toString('hex')
  return isUtf8(value) ? Buffer.from(value).toString('utf8') : undefined
}

/** A position in the journal: the decimal rowid, or the key parts. */
export function encodePosition(parts: readonly KeyPart[]): string {
  return JSON.stringify(
    parts.map(({ type, value }) => [
      type,
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value),
    ]),
  )
}

export function decodePosition(position: string): KeyPart[] {
  // Written by encodePosition.
  const pairs = JSON.parse(position) as [KeyPart['type'], string][]
  return pairs.map(([type, text]) => ({ type, value: valueReaders[type](text) }))
}

const valueReaders: Readonly<Record<KeyPart['type'], (text: string) => KeyPart['value']>> = {
  integer: BigInt,
  real: Number,
  text: (hex) => Buffer.from(hex, 'hex'),
  blob: (hex) => Buffer.from(hex, 'hex'),
  null: () => null,
}
