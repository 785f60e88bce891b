/** Values of Spring Cloud Config: an independent generator after spring-security's `RsaSecretEncryptor` and `AesBytesEncryptor`. */

import {
  constants,
  createCipheriv,
  createPublicKey,
  pbkdf2Sync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'

import { oldKey } from './legacy-values.ts'

export function sealSpring(
  plaintext: string,
  {
    prefix = '',
    isOaep = false,
    isStrong = false,
    salt = Buffer.from('deadbeef', 'hex'),
    secretBytes = 16,
  } = {},
): string {
  const secret = randomBytes(secretBytes)
  const padding = isOaep ? constants.RSA_PKCS1_OAEP_PADDING : constants.RSA_PKCS1_PADDING
  const wrapped = publicEncrypt({ key: createPublicKey(oldKey), padding }, secret)
  const key = pbkdf2Sync(secret.toString('hex'), salt, 1024, 32, 'sha1')
  const iv = randomBytes(16)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(wrapped.length)
  const bodyOf = () => {
    if (!isStrong) {
      const cipher = createCipheriv('aes-256-cbc', key, iv)
      return [cipher.update(plaintext), cipher.final()]
    }
    const cipher = createCipheriv('aes-256-gcm', key, iv)
    return [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]
  }
  return `{cipher}${prefix}${Buffer.concat([length, wrapped, iv, ...bodyOf()]).toString('base64')}`
}
