/** The encryption context: pairs of strings bound to data and always supplied again (SPEC §4). */

import { u16 } from '../bytes.ts'
import { LongholdError } from '../errors.ts'

/** Pairs of key and value. Where the library hands a context on, the pairs are in canonical order. */
export type EncryptionContext = readonly (readonly [key: string, value: string])[]

/** What callers may write: an object, or pairs in any order; at most 64 pairs (SPEC §4). */
export type ContextInput = Readonly<Record<string, string>> | EncryptionContext

export interface CanonicalContext {
  readonly pairs: EncryptionContext
  /** `u16(count)`, then `lp16(key) ‖ lp16(value)` for each pair; at most 8,192 bytes. */
  readonly bytes: Uint8Array
}

const maxPairs = 64
const maxCanonicalBytes = 8192
/** Up to here ASCII is written byte by byte: a call of the encoder costs more. */
const shortUnits = 64

/** Shared by all who bind nothing, so nobody may add to it. */
const empty: CanonicalContext = { pairs: Object.freeze([]), bytes: u16(0) }
const encoder = new TextEncoder()
/** Where canonical bytes are assembled: a context is encoded anew for each record, so it had better be cheap. Has room for what
 *  is refused afterwards: a UTF-16 unit takes at most three bytes, and the lengths take less than the fourth. */
const scratch = new Uint8Array(4 * maxCanonicalBytes)

/**
 * Sorts and encodes a context (SPEC §4). No context and an empty one are the same.
 *
 * @throws LongholdError `bad_context` for an empty, repeated, symbol or hidden key, a lone surrogate, a value that is no
 * string, more than 64 pairs or another kind of object; `limit_exceeded` above 8,192 canonical bytes.
 */
export function canonicalize(context: ContextInput | undefined): CanonicalContext {
  const lent = lendCanonical(context)
  return lent === empty ? empty : { pairs: lent.pairs, bytes: lent.bytes.slice() }
}

/** As `canonicalize`, but the bytes are on loan: the next context is encoded into the same memory. */
export function lendCanonical(context: ContextInput | undefined): CanonicalContext {
  if (context === undefined) return empty
  if (typeof context !== 'object' || context === null) throw noContext()
  const given = entriesOf(context)
  if (given.length === 0) return empty
  if (given.length > maxPairs) throw badContext(`${given.length} pairs, at most ${maxPairs} are allowed`)
  const pairs = sortedPairs(given)
  return { pairs, bytes: encodePairs(pairs) }
}

/**
 * The canonical bytes of a context (SPEC §4), at most 8,192. No context and an empty one are the same two bytes.
 *
 * @throws LongholdError `bad_context` for an empty or repeated key, a lone surrogate, a value that is no string, more
 * than 64 pairs or another kind of object; `limit_exceeded` above 8,192 bytes.
 */
export function canonicalContext(context: ContextInput | undefined): Uint8Array {
  return new Uint8Array(lendCanonical(context).bytes)
}

/** Refuses what may have entries that `Object.entries` does not see: a Map, getters of a class, symbols as keys would
 *  silently be a context without them. */
function entriesOf(context: ContextInput): readonly unknown[] {
  if (Array.isArray(context)) return Array.from<unknown>(context) // a hole becomes undefined, and is refused
  const prototype: unknown = Object.getPrototypeOf(context)
  if (prototype !== Object.prototype && prototype !== null) {
    // That of another realm is the prototype that has none itself.
    if (Object.getPrototypeOf(prototype) !== null) throw noContext()
  }
  const entries = Object.entries(context)
  // Cheaper than Reflect.ownKeys, which says both: this runs for each record.
  const hasHidden = Object.getOwnPropertyNames(context).length !== entries.length
  if (hasHidden || Object.getOwnPropertySymbols(context).length > 0)
    throw badContext('a key is a symbol, or hidden from enumeration')
  return entries
}

type Pair = EncryptionContext[number]

/** Sorted by insertion: there are few, and nearly always they are the three of a record. */
function sortedPairs(given: readonly unknown[]): Pair[] {
  const pairs: Pair[] = []
  let units = 0
  for (const each of given) {
    const pair = checkPair(each)
    units += pair[0].length + pair[1].length
    // Before anything is compared: that takes as long as the keys are.
    if (units > maxCanonicalBytes) throw tooLong()
    insert(pairs, pair)
  }
  return pairs
}

function checkPair(pair: unknown): Pair {
  if (!Array.isArray(pair) || pair.length !== 2) throw badContext('each pair is a key and a value')
  const [key, value]: readonly unknown[] = pair
  if (typeof key !== 'string' || key === '') throw badContext('a key is a string that is not empty')
  if (typeof value !== 'string') throw badContext(`the value of "${key}" is not a string`)
  return [key, value]
}

function insert(pairs: Pair[], pair: Pair): void {
  let at = pairs.length
  for (; at > 0; at--) {
    const before = pairs[at - 1] as Pair // there are more than `at - 1`
    const order = compareUtf8(before[0], pair[0])
    if (order === 0) throw badContext(`the key "${pair[0]}" stands twice`)
    if (order < 0) break
    pairs[at] = before
  }
  pairs[at] = pair
}

function encodePairs(pairs: readonly Pair[]): Uint8Array {
  scratch[0] = 0
  scratch[1] = pairs.length
  let at = 2
  for (const [key, value] of pairs) at = writeText(value, writeText(key, at))
  if (at > maxCanonicalBytes) throw tooLong()
  return scratch.subarray(0, at)
}

/** Writes `lp16(text)` into `scratch` at `at` and returns where it ends. */
function writeText(text: string, at: number): number {
  const start = at + 2
  const length = writesAsShortAscii(text, start) ? text.length : writeUtf8(text, start)
  scratch[at] = length >>> 8
  scratch[at + 1] = length
  return start + length
}

/** Whether it is, as nearly all texts are; then it stands in `scratch`. */
function writesAsShortAscii(text: string, start: number): boolean {
  if (text.length > shortUnits) return false
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) return false
    scratch[start + i] = unit
  }
  return true
}

function writeUtf8(text: string, start: number): number {
  if (!text.isWellFormed()) throw badContext('a key or a value has a lone surrogate')
  return encoder.encodeInto(text, scratch.subarray(start)).written
}

/** The order of the UTF-8 bytes, a prefix first. JavaScript's own order differs above U+D7FF, where UTF-16
 *  writes the highest code points in units lower than those of U+E000 to U+FFFF. */
function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const [unitA, unitB] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (unitA !== unitB) return codePointOrder(unitA) - codePointOrder(unitB)
  }
  return a.length - b.length
}

/** Moves surrogates (U+D800 to U+DFFF) behind all other UTF-16 units. */
function codePointOrder(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

function tooLong(): LongholdError {
  return new LongholdError('limit_exceeded', `the context has more than ${maxCanonicalBytes} canonical bytes`)
}

function noContext(): LongholdError {
  return badContext('a context is a plain object or a list of pairs')
}

function badContext(what: string): LongholdError {
  return new LongholdError('bad_context', `bad context: ${what}`)
}
