/**
 * Encrypted data in CFB, with an MDC (RFC 9580 §5.13.1) and without (§5.7), decrypted in constant memory. What a cut or altered
 * message gives is caught at the end: nothing of it is given on before.
 */

import { createDecipheriv, createHash } from 'node:crypto'

import { cannotOpen } from './legacy-format.ts'
import type { Pieces } from './openpgp-pieces.ts'
import { ciphers } from './openpgp-session-key.ts'
import type { SessionKey } from './openpgp-session-key.ts'

/** The packet with the digest: two bytes, and SHA-1. */
const mdcBytes = 22
const mdcHeader = Buffer.from([0xd3, 0x14])

/** @returns Undefined when Node does not have the cipher. */
export function nodeCipher({ cipher }: SessionKey): string | undefined {
  return ciphers[cipher]?.nodeName
}

/**
 * @param body Of the packet, behind its version.
 * @param name Of `nodeCipher`.
 * @returns The packets that are encrypted.
 * @throws LegacyError `cannot_open`
 */
export async function* decryptWithMdc(body: Pieces, name: string, { cipher, key }: SessionKey): Pieces {
  const blockBytes = blockBytesOf(cipher)
  const decipher = createDecipheriv(name, key, Buffer.alloc(blockBytes))
  const digest = createHash('sha1')
  let skipped = 0
  let held = Buffer.alloc(0)
  for await (const piece of body) {
    const plaintext = Buffer.concat([held, decipher.update(piece)])
    const end = Math.max(0, plaintext.length - mdcBytes)
    held = Buffer.from(plaintext.subarray(end))
    const covered = plaintext.subarray(0, end)
    digest.update(covered)
    // Random bytes are in front, a block and two.
    const start = Math.min(covered.length, blockBytes + 2 - skipped)
    skipped += start
    if (start < covered.length) yield covered.subarray(start)
  }
  digest.update(mdcHeader)
  const expected = Buffer.concat([mdcHeader, digest.digest()])
  if (skipped < blockBytes + 2 || !held.equals(expected)) throw cannotOpen()
}

/** The same without an MDC; two bytes that are there twice are all there is to check. */
export async function* decryptWithoutMdc(body: Pieces, name: string, { cipher, key }: SessionKey): Pieces {
  const blockBytes = blockBytesOf(cipher)
  let front = Buffer.alloc(0)
  let decipher: ReturnType<typeof createDecipheriv> | undefined
  for await (const piece of body) {
    if (decipher !== undefined) {
      yield decipher.update(piece)
      continue
    }
    front = Buffer.concat([front, piece])
    if (front.length < blockBytes + 2) continue
    const random = createDecipheriv(name, key, Buffer.alloc(blockBytes)).update(
      front.subarray(0, blockBytes + 2),
    )
    if (!random.subarray(-2).equals(random.subarray(-4, -2))) throw cannotOpen()
    // It starts anew there, from the last block of ciphertext.
    decipher = createDecipheriv(name, key, front.subarray(2, blockBytes + 2))
    if (front.length > blockBytes + 2) yield decipher.update(front.subarray(blockBytes + 2))
  }
  if (decipher === undefined) throw cannotOpen()
}

function blockBytesOf(cipher: number): number {
  return ciphers[cipher]?.name === '3DES' ? 8 : 16
}
