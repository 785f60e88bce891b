/** One chunk under AES-256-GCM with node:crypto, and nothing else. */

import { createCipheriv, createDecipheriv } from 'node:crypto'

const gcm = { authTagLength: 16 } as const

export interface SealedChunk {
  readonly ciphertext: Uint8Array
  readonly tag: Uint8Array
}

export function sealChunk(key: Uint8Array, nonce: Uint8Array, piece: Uint8Array): SealedChunk {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, gcm)
  const ciphertext = cipher.update(piece)
  cipher.final()
  return { ciphertext, tag: cipher.getAuthTag() }
}

export function openChunk(key: Uint8Array, nonce: Uint8Array, { ciphertext, tag }: SealedChunk): Uint8Array {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, gcm)
  decipher.setAuthTag(tag)
  const opened = decipher.update(ciphertext)
  decipher.final()
  return opened
}
