/** Bytes with their lengths in front, so that no two lists of parts join to the same bytes. */

const lengthBytes = 4
const numberBytes = 8

/** Each part as four bytes of length, big-endian, and its bytes; text as UTF-8, numbers as eight bytes. */
export function framed(...parts: readonly (Uint8Array | string | number)[]): Uint8Array<ArrayBuffer> {
  let size = 0
  for (const part of parts) size += lengthBytes + lengthOf(part)
  const bytes = Buffer.from(new ArrayBuffer(size))
  let at = 0
  for (const part of parts) {
    at = bytes.writeUInt32BE(lengthOf(part), at)
    if (typeof part === 'string') at += bytes.write(part, at)
    else if (typeof part === 'number') {
      at = bytes.writeUInt32BE(Math.floor(part / 2 ** 32), at)
      at = bytes.writeUInt32BE(part >>> 0, at)
    } else {
      bytes.set(part, at)
      at += part.length
    }
  }
  return new Uint8Array(bytes.buffer)
}

function lengthOf(part: Uint8Array | string | number): number {
  if (typeof part === 'string') return Buffer.byteLength(part)
  return typeof part === 'number' ? numberBytes : part.length
}
