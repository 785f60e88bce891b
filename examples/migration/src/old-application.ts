/**
 * How the application protected letters until now, twice: newer releases write JWE (RSA-OAEP-256, A256GCM), older
 * ones were Java and spread a letter over several columns, with `RSA/ECB/OAEPWithSHA-256AndMGF1Padding`, whose MGF1
 * uses SHA-1 whatever its name suggests, and `AES/GCM/NoPadding`.
 */

import { constants, createCipheriv, createHash, publicEncrypt, randomBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { CompactEncrypt } from 'jose'

/** The columns of one letter. The Java layout uses all of them, a JWE only the body. */
export interface StoredLetter {
  readonly body: string
  readonly wrapped_key: string | null
  readonly iv: string | null
}

export async function asJwe(text: string, publicKey: KeyObject): Promise<StoredLetter> {
  const body = await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM' })
    .encrypt(publicKey)
  return { body, wrapped_key: null, iv: null }
}

export function asJavaColumns(text: string, publicKey: KeyObject): StoredLetter {
  const key = randomBytes(32)
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const body = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()])
  return {
    body: body.toString('base64'),
    wrapped_key: encryptOaepSha256Mgf1Sha1(key, publicKey).toString('base64'),
    iv: iv.toString('base64'),
  }
}

/** RSAES-OAEP (RFC 8017 §7.1.1) for a modulus of 2048 bits, SHA-256, MGF1 with SHA-1, empty label. */
function encryptOaepSha256Mgf1Sha1(message: Uint8Array, publicKey: KeyObject): Buffer {
  const modulusBytes = 256
  const hashBytes = 32
  const labelHash = createHash('sha256').digest()
  const padding = Buffer.alloc(modulusBytes - message.length - 2 * hashBytes - 2)
  const data = Buffer.concat([labelHash, padding, Buffer.of(1), message])
  const seed = randomBytes(hashBytes)
  const maskedData = xor(data, mgf1Sha1(seed, data.length))
  const maskedSeed = xor(seed, mgf1Sha1(maskedData, hashBytes))
  const encoded = Buffer.concat([Buffer.of(0), maskedSeed, maskedData])
  return publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, encoded)
}

function mgf1Sha1(seed: Uint8Array, length: number): Buffer {
  const blocks: Buffer[] = []
  for (let counter = 0; counter * 20 < length; counter++) {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(counter)
    blocks.push(createHash('sha1').update(seed).update(count).digest())
  }
  return Buffer.concat(blocks).subarray(0, length)
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)))
}
