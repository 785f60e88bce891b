/** Bytes with their lengths in front, so that no two lists of parts join to the same bytes. */

import { utf8 } from '@longhold/core'

const lengthBytes = 4

/** Each part as four bytes of length, big-endian, and its bytes; text as UTF-8, numbers as eight bytes. */
export function framed(...parts: readonly (Uint8Array | string | number)[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.map(toBytes)
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + lengthBytes + length, 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const piece of pieces) {
    view.setUint32(at, piece.length)
    bytes.set(piece, at + lengthBytes)
    at += lengthBytes + piece.length
  }
  return bytes
}

function toBytes(part: Uint8Array | string | number): Uint8Array {
  if (typeof part === 'string') return utf8(part)
  if (typeof part !== 'number') return part
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(part))
  return bytes
}
