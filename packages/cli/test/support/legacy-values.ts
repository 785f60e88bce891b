/** Old values as applications wrote them: JWE by a library, and a layout built by hand. */

import {
  constants,
  createCipheriv,
  createPublicKey,
  generateKeyPairSync,
  hash,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { CompactEncrypt } from 'jose'

import type { DeclaredLayout } from '../../src/formats/declared-layout.ts'
import type { LegacyValue, OaepHash, OaepParameters, PrivateKeys } from '../../src/formats/legacy-format.ts'
import { hashBytes } from '../../src/legacy-keys/oaep.ts'
import { PrivateKeySet } from '../../src/legacy-keys/private-key-set.ts'

/** Made once: a key pair takes a while. */
export const oldKey: KeyObject = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
export const otherKey: KeyObject = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
export const oldPem = oldKey.export({ type: 'pkcs8', format: 'pem' })
export const otherPem = otherKey.export({ type: 'pkcs8', format: 'pem' })

export function keySet(...keys: readonly KeyObject[]): PrivateKeySet {
  return new PrivateKeySet(keys.map((key, index) => ({ name: `key ${index}`, key, keyIds: [] })))
}

export async function makeJwe(
  plaintext: Uint8Array | string,
  { alg = 'RSA-OAEP-256', enc = 'A256GCM', kid = 'old', key = oldKey } = {},
): Promise<string> {
  return await new CompactEncrypt(Buffer.from(plaintext))
    .setProtectedHeader({ alg, enc, kid })
    .encrypt(createPublicKey(key))
}

/** RSAES-OAEP encryption (RFC 8017 §7.1.1) with an MGF1 hash of its own, as Java does it. */
export function wrapOaep(message: Uint8Array, parameters: OaepParameters, key: KeyObject = oldKey): Buffer {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  const size = hashBytes[parameters.hash]
  const seed = randomBytes(size)
  const padding = Buffer.alloc(Math.ceil(bits / 8) - message.length - 2 * size - 2)
  const labelHash = hash(parameters.hash, parameters.label, 'buffer')
  const block = Buffer.concat([labelHash, padding, Buffer.from([1]), message])
  const maskedBlock = xor(block, mgf1(seed, block.length, parameters.mgf1Hash))
  const maskedSeed = xor(seed, mgf1(maskedBlock, size, parameters.mgf1Hash))
  return encryptRaw(Buffer.concat([Buffer.from([0]), maskedSeed, maskedBlock]), key)
}

export function encryptRaw(encoded: Uint8Array, key: KeyObject = oldKey): Buffer {
  return publicEncrypt({ key: createPublicKey(key), padding: constants.RSA_NO_PADDING }, encoded)
}

function mgf1(seed: Uint8Array, length: number, name: OaepHash): Buffer {
  const parts: Buffer[] = []
  for (let counter = 0; counter * hashBytes[name] < length; counter++) {
    const suffix = Buffer.alloc(4)
    suffix.writeUInt32BE(counter)
    parts.push(hash(name, Buffer.concat([seed, suffix]), 'buffer'))
  }
  return Buffer.concat(parts).subarray(0, length)
}

function xor(a: Uint8Array, b: Uint8Array): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ (b[index] ?? 0)))
}

/** What Java's `RSA/ECB/OAEPWithSHA-256AndMGF1Padding` means. */
export const javaOaep: OaepParameters = { hash: 'sha256', mgf1Hash: 'sha1', label: new Uint8Array() }

/** Columns `body` (ciphertext and tag), `wrapped_key`, `iv`, and `owner` as additional data. */
export const javaLayout: DeclaredLayout = {
  name: 'java',
  wrappedKey: { column: 'wrapped_key', encoding: 'base64' },
  iv: { column: 'iv', encoding: 'base64' },
  ciphertext: { column: 'body', encoding: 'base64' },
  tag: 'end',
  keyId: undefined,
  padding: javaOaep,
  cipher: 'aes-256-gcm',
  witness: undefined,
  aad: [{ column: 'owner', encoding: 'utf8' }],
}

/** The same as longhold.yaml says it. */
export const javaYaml = `
  formats:
    java:
      wrapped-key: { column: wrapped_key, encoding: base64 }
      iv: { column: iv, encoding: base64 }
      ciphertext: { encoding: base64 }
      tag: end
      oaep: { hash: sha256, mgf1-hash: sha1 }
      cipher: aes-256-gcm
      aad: [{ column: owner, encoding: utf8 }]
`

export interface SealedParts {
  readonly wrappedKey: Buffer
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

export function sealParts(
  plaintext: Uint8Array | string,
  aad: string,
  { oaep = javaOaep, key = oldKey, dataKeyBytes = 32, ivBytes = 12 } = {},
): SealedParts {
  const dataKey = randomBytes(dataKeyBytes)
  const iv = randomBytes(ivBytes)
  const name = dataKeyBytes === 16 ? 'aes-128-gcm' : dataKeyBytes === 24 ? 'aes-192-gcm' : 'aes-256-gcm'
  const cipher = createCipheriv(name, dataKey, iv)
  cipher.setAAD(Buffer.from(aad))
  const ciphertext = Buffer.concat([cipher.update(Buffer.from(plaintext)), cipher.final()])
  return { wrappedKey: wrapOaep(dataKey, oaep, key), iv, ciphertext, tag: cipher.getAuthTag() }
}

export interface JavaRow {
  readonly body: string
  readonly wrapped_key: string
  readonly iv: string
}

export function javaRow(plaintext: Uint8Array | string, owner: string, key: KeyObject = oldKey): JavaRow {
  const { wrappedKey, iv, ciphertext, tag } = sealParts(plaintext, owner, { key })
  return {
    body: Buffer.concat([ciphertext, tag]).toString('base64'),
    wrapped_key: wrappedKey.toString('base64'),
    iv: iv.toString('base64'),
  }
}

/** Opens what answers at once, as the formats do that need nobody else. */
export function openNow(value: LegacyValue, keys: PrivateKeys): Buffer {
  const opened = value.open(keys)
  if (!(opened instanceof Uint8Array)) throw new Error('it makes the caller wait')
  return Buffer.from(opened)
}
