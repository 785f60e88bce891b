/**
 * The floor under a record: the node:crypto calls of Cobblestone-256 (two blocks of HMAC-SHA-512, AES-256-GCM for each
 * chunk), bare, over buffers that are already there.
 */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

import { bareHmac } from './floor.ts'

const chunkBytes = 16_384
const gcm = { authTagLength: 16 } as const

/** @param infoBytes What the HMAC runs over besides the block before it: prefix, salt and context. */
export function recordFloor(
  plaintext: Uint8Array,
  infoBytes: number,
): { encrypt: () => unknown; decrypt: () => unknown } {
  const first = bareHmac('sha512', infoBytes + 1)
  const second = bareHmac('sha512', 64 + infoBytes + 1)
  const key = randomBytes(32)
  const nonce = randomBytes(12)
  // A plaintext of a whole number of chunks ends with an empty one.
  const pieces = Array.from({ length: Math.floor(plaintext.length / chunkBytes) + 1 }, (_, i) =>
    plaintext.subarray(i * chunkBytes, (i + 1) * chunkBytes),
  )
  const seal = (piece: Uint8Array) => {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, gcm)
    const ciphertext = cipher.update(piece)
    cipher.final()
    return { ciphertext, tag: cipher.getAuthTag() }
  }
  const open = ({ ciphertext, tag }: ReturnType<typeof seal>) => {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, gcm)
    decipher.setAuthTag(tag)
    const opened = decipher.update(ciphertext)
    decipher.final()
    return opened
  }
  const sealed = pieces.map(seal)
  return {
    encrypt: () => [first(), second(), pieces.map(seal)],
    decrypt: () => [first(), second(), sealed.map(open)],
  }
}
