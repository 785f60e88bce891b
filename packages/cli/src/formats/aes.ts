/** The bodies of old formats: AES-GCM and AES-CBC through node:crypto. */

import { createDecipheriv } from 'node:crypto'

export const gcmTagBytes = 16
export const gcmIvBytes = 12
export const cbcIvBytes = 16

interface GcmInput {
  readonly key: Uint8Array
  /** 12 bytes, where the format does not say otherwise. */
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  /** As many bytes as are declared: the caller checks, since older runtimes accept fewer. */
  readonly tag: Uint8Array
  readonly aad: Uint8Array
  /** Undefined: 16. */
  readonly tagBytes?: number
}

/** The plaintext, or undefined when the tag does not fit. Nothing is released before the tag was checked. */
export function openGcm({
  key,
  iv,
  ciphertext,
  tag,
  aad,
  tagBytes = gcmTagBytes,
}: GcmInput): Buffer | undefined {
  const cipher = gcmCipherOf(key)
  if (cipher === undefined || tag.length !== tagBytes) return undefined
  const decipher = createDecipheriv(cipher, key, iv, { authTagLength: tagBytes })
  decipher.setAuthTag(tag)
  if (aad.length > 0) decipher.setAAD(aad)
  const plaintext = decipher.update(ciphertext)
  try {
    decipher.final()
    return plaintext
  } catch {
    plaintext.fill(0)
    return undefined
  }
}

/** The plaintext without its PKCS #7 padding, or undefined. The caller has checked a MAC before. */
export function openCbc(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Buffer | undefined {
  const cipher = cbcCipherOf(key)
  if (cipher === undefined || ciphertext.length === 0 || ciphertext.length % 16 !== 0) return undefined
  const decipher = createDecipheriv(cipher, key, iv)
  const start = decipher.update(ciphertext)
  try {
    return Buffer.concat([start, decipher.final()])
  } catch {
    return undefined
  } finally {
    start.fill(0)
  }
}

/** The plaintext, whatever the key is; undefined for keys of no size that AES has. */
export function openCtr(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Buffer | undefined {
  const cipher = cbcCiphers[key.length]?.replace('cbc', 'ctr')
  if (cipher === undefined) return undefined
  const decipher = createDecipheriv(cipher, key, iv)
  return Buffer.concat([decipher.update(ciphertext), decipher.final()])
}

export function gcmCipherOf(key: Uint8Array) {
  return gcmCiphers[key.length]
}

export function cbcCipherOf(key: Uint8Array) {
  return cbcCiphers[key.length]
}

const gcmCiphers: Readonly<Record<number, 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'>> = {
  16: 'aes-128-gcm',
  24: 'aes-192-gcm',
  32: 'aes-256-gcm',
}

const cbcCiphers: Readonly<Record<number, 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc'>> = {
  16: 'aes-128-cbc',
  24: 'aes-192-cbc',
  32: 'aes-256-cbc',
}
