/** A compact JWE with any header, for what no library writes. */

import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'

import { oldKey } from './legacy-values.ts'

/** RSA-OAEP-256 and A256GCM, whatever the header says. */
export function sealJwe(header: object, plaintext: Uint8Array): string {
  const protectedText = Buffer.from(JSON.stringify(header)).toString('base64url')
  const dataKey = randomBytes(32)
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', dataKey, iv)
  cipher.setAAD(Buffer.from(protectedText))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const wrapped = publicEncrypt({ key: createPublicKey(oldKey), padding, oaepHash: 'sha256' }, dataKey)
  return [
    protectedText,
    ...[wrapped, iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url')),
  ].join('.')
}
