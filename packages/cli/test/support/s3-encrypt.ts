/**
 * Objects of the S3 encryption clients: an independent generator after amazon-s3-encryption-client-java (`RsaKeyring`,
 * `MetadataKeyConstants`) and amazon-s3-encryption-client-python (`key_derivation.py`, `pipelines.py`). There is no such client on npm.
 */

import {
  constants,
  createCipheriv,
  createHash,
  createPublicKey,
  hkdfSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'

import { oldKey, wrapOaep } from './legacy-values.ts'

export interface S3Object {
  readonly metadata: Record<string, string>
  readonly body: Buffer
}

const oaepSha1 = { hash: 'sha1', mgf1Hash: 'sha1', label: new Uint8Array() } as const
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

function cbc(dataKey: Uint8Array, iv: Uint8Array, plaintext: string): Buffer {
  const cipher = createCipheriv('aes-256-cbc', dataKey, iv)
  return Buffer.concat([cipher.update(plaintext), cipher.final()])
}

function gcm(dataKey: Uint8Array, iv: Uint8Array, plaintext: string, aad?: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', dataKey, iv)
  if (aad !== undefined) cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Encryption only: RSA v1.5 and AES-CBC, nothing authenticated. */
export function s3v1(plaintext: string, { hasMd5 = false, description = '{}', key = oldKey } = {}): S3Object {
  const dataKey = randomBytes(32)
  const iv = randomBytes(16)
  const wrapped = publicEncrypt({ key: createPublicKey(key), padding: constants.RSA_PKCS1_PADDING }, dataKey)
  const md5 = createHash('md5').update(plaintext).digest('base64')
  return {
    metadata: {
      'x-amz-key': base64(wrapped),
      'x-amz-iv': base64(iv),
      'x-amz-matdesc': description,
      'x-amz-unencrypted-content-length': String(Buffer.byteLength(plaintext)),
      ...(hasMd5 ? { 'x-amz-unencrypted-content-md5': md5 } : {}),
    },
    body: cbc(dataKey, iv, plaintext),
  }
}

/** @param named The cipher within the pseudo-key: another than that of the body is a downgrade. */
export function s3v2(
  plaintext: string,
  { named = 'AES/GCM/NoPadding', description = '{}', key = oldKey } = {},
): S3Object {
  const dataKey = randomBytes(32)
  const iv = randomBytes(12)
  const pseudo = Buffer.concat([Buffer.from([dataKey.length]), dataKey, Buffer.from(named)])
  return {
    metadata: {
      'x-amz-key-v2': base64(wrapOaep(pseudo, oaepSha1, key)),
      'x-amz-iv': base64(iv),
      'x-amz-matdesc': description,
      'x-amz-wrap-alg': 'RSA-OAEP-SHA1',
      'x-amz-cek-alg': 'AES/GCM/NoPadding',
      'x-amz-tag-len': '128',
    },
    body: gcm(dataKey, iv, plaintext),
  }
}

/** The legacy wrapping of version 2, by Java's own provider or by Bouncy Castle. */
export function s3v2Ecb(plaintext: string, mgf1Hash: 'sha1' | 'sha256'): S3Object {
  const dataKey = randomBytes(32)
  const iv = randomBytes(12)
  const wrapped = wrapOaep(dataKey, { hash: 'sha256', mgf1Hash, label: new Uint8Array() })
  const { metadata } = s3v2('')
  return {
    metadata: {
      ...metadata,
      'x-amz-key-v2': base64(wrapped),
      'x-amz-iv': base64(iv),
      'x-amz-wrap-alg': 'RSA/ECB/OAEPWithSHA-256AndMGF1Padding',
    },
    body: gcm(dataKey, iv, plaintext),
  }
}

export function s3v3(
  plaintext: string,
  { named = 'AES/GCM/NoPadding', description = '{}', key = oldKey } = {},
): S3Object {
  const dataKey = randomBytes(32)
  const messageId = randomBytes(28)
  const suite = Buffer.from([0x00, 0x73])
  const expand = (label: string, bytes: number) =>
    Buffer.from(hkdfSync('sha512', dataKey, messageId, Buffer.concat([suite, Buffer.from(label)]), bytes))
  const pseudo = Buffer.concat([Buffer.from([dataKey.length]), dataKey, Buffer.from(named)])
  return {
    metadata: {
      'x-amz-c': '115',
      'x-amz-3': base64(wrapOaep(pseudo, oaepSha1, key)),
      'x-amz-w': '22',
      'x-amz-d': base64(expand('COMMITKEY', 28)),
      'x-amz-i': base64(messageId),
      'x-amz-m': description,
    },
    body: gcm(expand('DERIVEKEY', 32), new Uint8Array(12).fill(1), plaintext, suite),
  }
}
