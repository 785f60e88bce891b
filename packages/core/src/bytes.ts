/** Byte helpers, once for the whole library: joining, comparing, integers, text forms. */

import { nativeBase64url } from './base64-native.ts'
import type { Base64url } from './base64-native.ts'

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const asciiDecoder = new TextDecoder()

/** Whether `value` is a Uint8Array, of this realm or another: of a frame, a vm context, the world around a test. */
export function isBytes(value: unknown): value is Uint8Array {
  // A view first: what only inherits from Uint8Array, as a Proxy does, has no memory of its own.
  return ArrayBuffer.isView(value) && (value instanceof Uint8Array || tagOf(value) === 'Uint8Array')
}

/** Whether other threads may write to the bytes. */
export function isShared({ buffer }: Uint8Array): boolean {
  // That of another realm, or none: telling which costs more, and each record asks.
  return !(buffer instanceof ArrayBuffer) && tagOf(buffer) === 'SharedArrayBuffer'
}

/** What `Object.prototype.toString` calls a value: `Uint8Array`, `Null`, or what its class says. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

/** Joins byte strings into a new one. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** A copy in a buffer of its own. (`slice` of a Buffer is no copy, and callers do pass Buffers.) */
export function copyBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}

/** Compares two byte strings in time that depends on their lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  // Both indices are in range; `as number` because noUncheckedIndexedAccess cannot know it.
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number)
  return difference === 0
}

/** Overwrites bytes with zeros. Best effort: the runtime may have copied them before. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) Uint8Array.prototype.fill.call(secret, 0) // Buffers have a slower one
}

/** `n` as one byte. */
export function u8(n: number): Uint8Array {
  return Uint8Array.of(n)
}

/** `n` as two bytes, big-endian. */
export function u16(n: number): Uint8Array {
  return Uint8Array.of(n >>> 8, n)
}

/** The big-endian 16-bit number at `offset`, which must lie inside `bytes`. */
export function readU16(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint16(offset)
}

/** A byte string with its length in front as two bytes (`lp16` of SPEC, Notation). */
export function lp16(bytes: Uint8Array): Uint8Array {
  return concat(u16(bytes.length), bytes)
}

/** UTF-8 bytes of `text`. A lone surrogate becomes U+FFFD: check `isWellFormed()` where that matters. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return utf8Encoder.encode(text)
}

/** The text of UTF-8 `bytes`, a byte order mark kept; `undefined` when they are not valid UTF-8. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** Bytes of hexadecimal `text` in either case; `undefined` when it is not. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

const alphabet = utf8('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')
const digits = new Int8Array(128).fill(-1)
alphabet.forEach((code, value) => (digits[code] = value))

const portable: Base64url = {
  encode(bytes) {
    const text = new Uint8Array(Math.ceil((bytes.length * 4) / 3))
    let at = 0
    for (let i = 0; i < bytes.length; i += 3) {
      // Past the end reads undefined, which bit operations take as 0; `?? 0` says so.
      const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
      for (let shift = 18; shift >= 0 && at < text.length; shift -= 6) {
        text[at++] = alphabet[(group >>> shift) & 63] ?? 0
        if (at === text.length) break
      }
    }
    return asciiDecoder.decode(text)
  },
  decode(text) {
    if (text.length % 4 === 1) return undefined
    const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
    let group = 0
    let bits = 0
    let at = 0
    for (let i = 0; i < text.length; i++) {
      const digit = digits[text.charCodeAt(i)] ?? -1
      if (digit < 0) return undefined
      group = ((group << 6) | digit) & 0xffffff
      bits += 6
      if (bits >= 8) {
        bits -= 8
        bytes[at++] = group >>> bits
      }
    }
    const unused = group & ((1 << bits) - 1)
    return unused === 0 ? bytes : undefined
  },
}

const native = nativeBase64url()
const base64url = native ?? portable

/** Both, for the test that they agree. Not exported by the package. */
export const testingBase64url: { readonly portable: Base64url; readonly native: Base64url | undefined } = {
  portable,
  native,
}

/** base64url without padding (RFC 4648 §5). */
export function toBase64url(bytes: Uint8Array): string {
  return base64url.encode(bytes)
}

/**
 * Bytes of base64url `text` (RFC 4648 §5); `undefined` unless it is the one spelling `toBase64url` gives: no padding, no
 * white space, no other alphabet, unused low bits zero.
 */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  return base64url.decode(text)
}
