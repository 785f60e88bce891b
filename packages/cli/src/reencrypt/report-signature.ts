/**
 * The signature of a report: a JSON Web Signature with ML-DSA-65 (RFC 7515, RFC 9964) over the bytes of the file, its
 * content detached (RFC 7515 appendix F), so that the report itself stays plain JSON.
 */

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

const keyType = 'ml-dsa-65'

/** PKCS #8 and SubjectPublicKeyInfo, PEM (RFC 9881). */
export function generateSigningKey(): { readonly privateKey: string; readonly publicKey: string } {
  return generateKeyPairSync(keyType, {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
}

/** @returns Undefined for what is no private key of ML-DSA-65. */
export function parseSigningKey(pem: string): KeyObject | undefined {
  return ofType(() => createPrivateKey(pem))
}

/** @returns Undefined for what is no public key of ML-DSA-65. */
export function parseVerifyingKey(pem: string): KeyObject | undefined {
  return pem.includes('PRIVATE KEY') ? undefined : ofType(() => createPublicKey(pem))
}

/** SHA-256 of the SubjectPublicKeyInfo, hexadecimal: what people compare. */
export function fingerprintOf(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

/** The compact form with nothing between its dots. */
export function signReport(content: Uint8Array, key: KeyObject): string {
  const header = Buffer.from(JSON.stringify({ alg: 'ML-DSA-65', kid: fingerprintOf(key) })).toString(
    'base64url',
  )
  const signature = sign(null, signingInput(header, content), key)
  return `${header}..${signature.toString('base64url')}`
}

/** True for a signature of this key over these bytes. The key says the algorithm, not the header. */
export function isSignatureOf(jws: string, content: Uint8Array, key: KeyObject): boolean {
  const [header = '', payload, signature = '', ...more] = jws.trim().split('.')
  if (payload !== '' || more.length > 0 || !isMlDsa(header)) return false
  return verify(null, signingInput(header, content), key, Buffer.from(signature, 'base64url'))
}

function isMlDsa(header: string): boolean {
  try {
    const { alg, crit } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>
    return alg === 'ML-DSA-65' && crit === undefined
  } catch {
    return false
  }
}

function signingInput(header: string, content: Uint8Array): Buffer {
  return Buffer.from(`${header}.${Buffer.from(content).toString('base64url')}`)
}

function ofType(parse: () => KeyObject): KeyObject | undefined {
  try {
    const key = parse()
    return key.asymmetricKeyType === keyType ? key : undefined
  } catch {
    return undefined
  }
}
