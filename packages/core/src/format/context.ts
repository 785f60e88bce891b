/** The encryption context: pairs of strings bound to data and always supplied again (SPEC §4). */

import { concat, lp16, u16, utf8 } from '../bytes.ts'
import { LongholdError } from '../errors.ts'

/** Pairs of key and value. Where the library hands a context on, the pairs are in canonical order. */
export type EncryptionContext = readonly (readonly [key: string, value: string])[]

/** What callers may write: an object, or pairs in any order. */
export type ContextInput = Readonly<Record<string, string>> | EncryptionContext

const maxPairs = 64
const maxCanonicalBytes = 8192

export interface CanonicalContext {
  readonly pairs: EncryptionContext
  /** `u16(count)`, then `lp16(key) ‖ lp16(value)` for each pair; at most 8,192 bytes. */
  readonly bytes: Uint8Array
}

const empty: CanonicalContext = { pairs: [], bytes: u16(0) }

/**
 * Sorts and encodes a context (SPEC §4). No context and an empty one are the same.
 *
 * @throws LongholdError `bad_context` for an empty or repeated key, a lone surrogate, a value that is no string
 * or more than 64 pairs; `limit_exceeded` above 8,192 canonical bytes.
 */
export function canonicalize(context: ContextInput | undefined): CanonicalContext {
  if (context === undefined) return empty
  if (typeof context !== 'object' || context === null)
    throw badContext('a context is an object or a list of pairs')
  const given: readonly unknown[] = Array.isArray(context) ? context : Object.entries(context)
  if (given.length === 0) return empty
  if (given.length > maxPairs) throw badContext(`${given.length} pairs, at most ${maxPairs} are allowed`)

  const encoded = given.map(encodePair).toSorted((a, b) => compareBytes(a.key, b.key))
  encoded.forEach((pair, i) => {
    const before = encoded[i - 1]
    if (before !== undefined && compareBytes(before.key, pair.key) === 0) {
      throw badContext(`the key "${pair.pair[0]}" stands twice`)
    }
  })
  const length = encoded.reduce((sum, { key, value }) => sum + 4 + key.length + value.length, 2)
  if (length > maxCanonicalBytes) {
    throw new LongholdError(
      'limit_exceeded',
      `a context of ${length} canonical bytes, at most ${maxCanonicalBytes}`,
    )
  }
  const bytes = concat(u16(encoded.length), ...encoded.flatMap(({ key, value }) => [lp16(key), lp16(value)]))
  return { pairs: encoded.map(({ pair }) => pair), bytes }
}

/** The canonical bytes of a context (SPEC §4); throws as `canonicalize` does. */
export function canonicalContext(context: ContextInput | undefined): Uint8Array {
  return new Uint8Array(canonicalize(context).bytes)
}

function encodePair(pair: unknown): { pair: readonly [string, string]; key: Uint8Array; value: Uint8Array } {
  if (!Array.isArray(pair) || pair.length !== 2) throw badContext('each pair is a key and a value')
  const [key, value]: readonly unknown[] = pair
  if (typeof key !== 'string' || key === '') throw badContext('a key is a string that is not empty')
  if (!key.isWellFormed()) throw badContext('a key has a lone surrogate')
  if (typeof value !== 'string') throw badContext(`the value of "${key}" is not a string`)
  if (!value.isWellFormed()) throw badContext(`the value of "${key}" has a lone surrogate`)
  return { pair: [key, value], key: utf8(key), value: utf8(value) }
}

/** Unsigned bytes in order, a prefix first; not JavaScript's order of UTF-16 units. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function badContext(what: string): LongholdError {
  return new LongholdError('bad_context', `bad context: ${what}`)
}
