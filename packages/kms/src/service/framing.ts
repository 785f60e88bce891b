/** Bytes with their lengths in front, so that no two lists of parts join to the same bytes. */

import { concat, utf8 } from '@longhold/core'

/** Each part as four bytes of length, big-endian, and its bytes; text as UTF-8, numbers as eight bytes. */
export function framed(...parts: readonly (Uint8Array | string | number)[]): Uint8Array<ArrayBuffer> {
  return concat(...parts.flatMap((part) => [lengthOf(toBytes(part)), toBytes(part)]))
}

function toBytes(part: Uint8Array | string | number): Uint8Array {
  if (typeof part === 'string') return utf8(part)
  if (typeof part !== 'number') return part
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(part))
  return bytes
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, bytes.length)
  return length
}
