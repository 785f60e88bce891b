/**
 * Sealed bytes: AES-256-GCM under a key that HKDF-SHA-256 derives for this one row. Whatever identifies the row is
 * in the associated data, so that a row moved to another place, version or cluster does not open.
 */

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'

import { concat, Secret } from '@longhold/core'

import { framed } from './framing.ts'

const nonceBytes = 12
const tagBytes = 16
const keyBytes = 32
const format = 'longhold/kms/v1/sealed-row'

/** Where a sealed row stands. */
export interface RowAddress {
  readonly purpose: 'identity' | 'own-key' | 'slot-auth'
  readonly clusterId: Uint8Array
  readonly rootVersion: number
  readonly id: string
  readonly version: number
  /** The suite of an identity; of another row, what it is for. */
  readonly kind: string
  /** Empty when the row has none. */
  readonly publicKey: Uint8Array
}

/** @returns Nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes). */
export function sealRow(root: Uint8Array, address: RowAddress, plaintext: Uint8Array): Uint8Array {
  return withRowKey(root, address, (key) => seal(key, associatedData(address), plaintext))
}

/** `undefined` when the row does not open here: another root, another address, or altered bytes. */
export function openRow(root: Uint8Array, address: RowAddress, sealed: Uint8Array): Secret | undefined {
  return withRowKey(root, address, (key) => open(key, associatedData(address), sealed))
}

function associatedData(address: RowAddress): Uint8Array {
  const publicKeyHash = createHash('sha256').update(address.publicKey).digest()
  const { clusterId, rootVersion, id, version, kind } = address
  return framed(format, clusterId, rootVersion, id, version, kind, publicKeyHash)
}

/** For `seal/`: the same cipher under a slot's own key. */
export function seal(key: Uint8Array, associated: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  cipher.setAAD(associated)
  return concat(nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag())
}

/** For `seal/`: `undefined` when it does not open. */
export function open(key: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Secret | undefined {
  if (sealed.length < nonceBytes + tagBytes) return undefined
  const tagAt = sealed.length - tagBytes
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  })
  decipher.setAAD(associated)
  decipher.setAuthTag(sealed.subarray(tagAt))
  const opened = decipher.update(sealed.subarray(nonceBytes, tagAt))
  try {
    decipher.final()
    return Secret.copyOf(opened)
  } catch {
    // final() throws for one reason only: the tag.
    return undefined
  } finally {
    opened.fill(0)
  }
}

/** HKDF-SHA-256, no salt, info = label, purpose, id, version: each row has a key of its own. */
function withRowKey<T>(root: Uint8Array, address: RowAddress, use: (key: Uint8Array) => T): T {
  const info = framed('longhold/kms/v1/row-key', address.purpose, address.id, address.version)
  const key = new Uint8Array(hkdfSync('sha256', root, new Uint8Array(0), info, keyBytes))
  try {
    return use(key)
  } finally {
    key.fill(0)
  }
}
