/**
 * HMAC-SHA-256 (RFC 2104, FIPS 198-1) of small messages: two calls of the one-shot hash take half of what `createHmac`
 * does, and every request has some.
 */

import { hash } from 'node:crypto'

import type { Secret } from '@longhold/core'

const blockBytes = 64
const hashBytes = 32

/** The key's block and the message, or what the first hash made of it. */
let inner = Buffer.allocUnsafeSlow(2048)
const outer = Buffer.allocUnsafeSlow(blockBytes + hashBytes)

/**
 * @param key At most 64 bytes. Borrowed.
 * @returns 32 bytes.
 */
export function hmacSha256(key: Secret, message: Uint8Array): Uint8Array {
  if (key.length > blockBytes) throw new RangeError(`an HMAC key of ${key.length} bytes`)
  const end = blockBytes + message.length
  if (end > inner.length) inner = Buffer.allocUnsafeSlow(2 * end)
  inner.fill(0x36, 0, blockBytes)
  outer.fill(0x5c, 0, blockBytes)
  key.use((bytes) => {
    for (let index = 0; index < bytes.length; index++) {
      const byte = bytes[index] ?? 0
      inner[index] = byte ^ 0x36
      outer[index] = byte ^ 0x5c
    }
  })
  inner.set(message, blockBytes)
  // A string of bytes: a Buffer costs half as much again.
  outer.write(hash('sha256', inner.subarray(0, end), 'latin1'), blockBytes, 'latin1')
  const mac = new Uint8Array(hash('sha256', outer, 'buffer'))
  inner.fill(0, 0, end)
  outer.fill(0)
  return mac
}
