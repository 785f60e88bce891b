/** The bare chunk loop: AES-256-GCM over each 16 KiB of what is in memory, a nonce for each, and nothing around it. */

import { randomBytes } from 'node:crypto'

import { openChunk, sealChunk, type SealedChunk } from './chunk-floor.ts'

const chunkBytes = 16_384

export function chunkLoop(plaintext: Uint8Array): { encrypt: () => number; decrypt: () => number } {
  const key = randomBytes(32)
  const nonce = Buffer.alloc(12)
  const chunks = Math.floor(plaintext.length / chunkBytes) + 1
  const pieces = Array.from({ length: chunks }, (_, i) =>
    plaintext.subarray(i * chunkBytes, (i + 1) * chunkBytes),
  )
  const numbered = <Piece>(all: readonly Piece[], each: (piece: Piece) => number): number => {
    let bytes = 0
    for (const [i, piece] of all.entries()) {
      nonce.writeUInt32BE(i, 8)
      bytes += each(piece)
    }
    return bytes
  }
  const sealed: SealedChunk[] = []
  numbered(pieces, (piece) => sealed.push(sealChunk(key, nonce, piece)))
  const encrypt = () => numbered(pieces, (piece) => sealChunk(key, nonce, piece).ciphertext.length + 16)
  const decrypt = () => numbered(sealed, (chunk) => openChunk(key, nonce, chunk).length)
  if (decrypt() !== plaintext.length) throw new Error('the chunk loop does not open what it sealed')
  return { encrypt, decrypt }
}
