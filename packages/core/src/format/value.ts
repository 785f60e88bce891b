/** Typed values: a type byte and a payload with one spelling for each value (SPEC §9). */

import { concat, fromUtf8, isBytes, tagOf, toHex, u8, utf8 } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { checkBytes } from '../options.ts'

/** A value with its type (SPEC §9). `null` has none: in a column it stays NULL. */
export type TypedValue =
  | { readonly type: 'bytes'; readonly value: Uint8Array }
  | { readonly type: 'string'; readonly value: string }
  /** What JSON can hold. Properties that are `undefined` are left out, and `toJSON` counts, as in `JSON.stringify`. */
  | { readonly type: 'json'; readonly value: unknown }
  | { readonly type: 'boolean'; readonly value: boolean }
  /** Any double; every NaN becomes the one NaN, −0 is kept. */
  | { readonly type: 'number'; readonly value: number }
  | { readonly type: 'bigint'; readonly value: bigint }
  /** To the millisecond. */
  | { readonly type: 'date'; readonly value: Date }

/** The types of SPEC §9, by the names JavaScript has for them: `number` is a double, `bigint` an integer. */
export type ValueType = TypedValue['type']

/** One row says all there is to know about a type. `encode` gives `undefined` for what has no payload. */
interface Codec<T> {
  readonly code: number
  readonly encode: (value: T) => Uint8Array | undefined
  /** `undefined` for a payload no writer could have made. */
  readonly decode: (payload: Uint8Array) => T | undefined
}

type ValueOf<T extends ValueType> = Extract<TypedValue, { type: T }>['value']

const codecs: { readonly [T in ValueType]: Codec<ValueOf<T>> } = {
  bytes: {
    code: 0,
    encode: (value) => (isBytes(value) ? value : undefined),
    decode: (payload) => new Uint8Array(payload),
  },
  string: {
    code: 1,
    encode: (value) => (typeof value === 'string' && value.isWellFormed() ? utf8(value) : undefined),
    decode: fromUtf8,
  },
  json: { code: 2, encode: encodeJson, decode: decodeJson },
  boolean: {
    code: 3,
    encode: (value) => (typeof value === 'boolean' ? u8(Number(value)) : undefined),
    decode: ([byte, ...more]) => (more.length > 0 || byte === undefined || byte > 1 ? undefined : byte === 1),
  },
  number: { code: 4, encode: encodeNumber, decode: decodeNumber },
  bigint: { code: 5, encode: encodeBigint, decode: decodeBigint },
  date: { code: 6, encode: encodeDate, decode: decodeDate },
}

/**
 * Type byte ‖ payload (SPEC §9).
 *
 * @throws LongholdError `bad_value` for a value that is not of its type, a lone surrogate, an invalid date, or
 * what JSON cannot hold. The message never repeats the value.
 */
export function encodeValue(typed: TypedValue): Uint8Array {
  if (typeof typed !== 'object' || typed === null) throw badValue('not an object with a type and a value')
  const { type, value } = typed
  if (typeof type !== 'string' || !Object.hasOwn(codecs, type)) throw badValue('its type is none of SPEC §9')
  // One row of the table is called with the value of the same row's type, which TypeScript cannot follow.
  const codec = codecs[type] as Codec<unknown>
  const payload = codec.encode(value)
  if (payload === undefined) throw badValue(`not a ${type} that can be written`)
  return concat(u8(codec.code), payload)
}

/**
 * Reads what `encodeValue` wrote, strictly (SPEC §9).
 *
 * @throws LongholdError `bad_value` for no bytes at all, an unknown type, or a payload no writer could have made;
 * `bad_input` for what is no Uint8Array.
 */
export function decodeValue(bytes: Uint8Array): TypedValue {
  checkBytes(bytes, 'decodeValue: bytes')
  const code = bytes[0]
  if (code === undefined) throw badValue('no bytes at all')
  for (const [type, codec] of Object.entries(codecs)) {
    if (codec.code !== code) continue
    const value = codec.decode(bytes.subarray(1))
    if (value === undefined) throw badValue(`a payload no writer of type ${type} makes`)
    return { type, value } as TypedValue // type and value are of the same row
  }
  throw badValue(`no type ${code}`)
}

function encodeJson(value: unknown): Uint8Array | undefined {
  try {
    // The type says string; undefined has no text.
    const text = JSON.stringify(value, keptByJson) as string | undefined
    return text === undefined ? undefined : utf8(text)
  } catch {
    return undefined // a cycle, a bigint, or what is lost
  }
}

/** No Map, Set, Promise, function, symbol or bytes. An object of a class is what its properties say, and `JSON.stringify` unwraps
 *  a Number, a String and a Boolean. */
const jsonTags = ['Array', 'Boolean', 'Null', 'Number', 'Object', 'String', 'Undefined']

/** `JSON.stringify` writes null or {} for what it cannot hold, and the value would be gone without a word. */
function keptByJson(this: { readonly [name: string]: unknown }, name: string, value: unknown): unknown {
  const tag = tagOf(value)
  const isLost =
    !jsonTags.includes(tag) ||
    (value === null && this[name] instanceof Date) || // an invalid one
    (tag === 'Number' && !Number.isFinite(Number(value))) ||
    (value === undefined && Array.isArray(this))
  if (isLost) throw badValue('JSON cannot hold it')
  return value
}

function decodeJson(payload: Uint8Array): unknown {
  const text = fromUtf8(payload)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const doubleBytes = 8
const canonicalNan = 0x7ff8000000000000n

function encodeNumber(value: number): Uint8Array | undefined {
  if (typeof value !== 'number') return undefined
  const payload = new Uint8Array(doubleBytes)
  const view = viewOf(payload)
  if (Number.isNaN(value)) view.setBigUint64(0, canonicalNan)
  else view.setFloat64(0, value)
  return payload
}

function decodeNumber(payload: Uint8Array): number | undefined {
  if (payload.length !== doubleBytes) return undefined
  const view = viewOf(payload)
  const value = view.getFloat64(0)
  return Number.isNaN(value) && view.getBigUint64(0) !== canonicalNan ? undefined : value
}

function encodeBigint(value: bigint): Uint8Array | undefined {
  if (typeof value !== 'bigint') return undefined
  const magnitude = value < 0n ? -value - 1n : value
  // The sign takes a bit of its own in front of the magnitude.
  const bits = magnitude === 0n ? 0 : magnitude.toString(2).length
  const length = Math.floor(bits / 8) + 1
  const digits = BigInt.asUintN(length * 8, value)
    .toString(16)
    .padStart(length * 2, '0')
  return Uint8Array.from({ length }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}

function decodeBigint(payload: Uint8Array): bigint | undefined {
  const [first, second] = payload
  if (first === undefined) return undefined
  // A leading byte that only repeats the sign is redundant.
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80)))
    return undefined
  return BigInt.asIntN(payload.length * 8, BigInt(`0x${toHex(payload)}`))
}

const dateBytes = 8
const dateOffset = 2n ** 63n
/** What a Date can hold, in milliseconds either side of 1970. */
const maxDateMs = 8_640_000_000_000_000n

function encodeDate(value: Date): Uint8Array | undefined {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) return undefined
  const payload = new Uint8Array(dateBytes)
  viewOf(payload).setBigUint64(0, BigInt(value.getTime()) + dateOffset)
  return payload
}

function decodeDate(payload: Uint8Array): Date | undefined {
  if (payload.length !== dateBytes) return undefined
  const ms = viewOf(payload).getBigUint64(0) - dateOffset
  return ms < -maxDateMs || ms > maxDateMs ? undefined : new Date(Number(ms))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function badValue(what: string): LongholdError {
  return new LongholdError('bad_value', `bad value: ${what}`)
}
