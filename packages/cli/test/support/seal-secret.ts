/** Sealed Secrets: an independent generator after `HybridEncrypt` of bitnami-labs/sealed-secrets. */

import { createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'

import { oldKey } from './legacy-values.ts'

export function sealSecret(plaintext: string, label: string, key = oldKey): Buffer {
  const sessionKey = randomBytes(32)
  const wrapped = publicEncrypt(
    { key: createPublicKey(key), oaepHash: 'sha256', oaepLabel: Buffer.from(label) },
    sessionKey,
  )
  const length = Buffer.alloc(2)
  length.writeUInt16BE(wrapped.length)
  const cipher = createCipheriv('aes-256-gcm', sessionKey, Buffer.alloc(12))
  return Buffer.concat([length, wrapped, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}
