/** The private keys in a file: PEM, DER, PKCS #12, OpenSSH, JSON Web Keys, one or many, encrypted or not. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { hasAgeIdentity, readAgeIdentities } from './age-identity.ts'
import { readOpensshKey } from './openssh-key.ts'
import { isPkcs12, readPkcs12 } from './pkcs12.ts'
import { PrivateKeyError } from './private-key-error.ts'

/** A private key, RSA or an identity of age, and what its file says of it. */
export interface FoundKey {
  readonly key: KeyObject
  /** A JWK's `kid`, a store's alias. */
  readonly keyIds: readonly string[]
  /** A JWK's `alg`: the one way of wrapping that it is for. */
  readonly algorithm: string | undefined
  /** Of this key, DER: issuer and serial number name it in CMS. */
  readonly certificates: readonly Uint8Array[]
}

/**
 * The RSA private keys of a file, or its identities of age; keys of other kinds beside them are left out. Those of OpenPGP are read by
 * openpgp-key.ts.
 *
 * @param bytes The content of the file.
 * @param passphrase For encrypted PEM, PKCS #8 and PKCS #12.
 * @returns At least one.
 * @throws PrivateKeyError
 */
export function readKeyFile(bytes: Uint8Array, passphrase: string | undefined): FoundKey[] {
  const text = Buffer.from(bytes).toString('latin1')
  if (hasAgeIdentity(text)) return readAgeIdentities(text).map((key) => withCertificates(key, []))
  const found = /^\s*\{/u.test(text)
    ? fromJson(text)
    : text.includes('-----BEGIN ')
      ? fromPem(text, passphrase)
      : isPkcs12(bytes)
        ? fromPkcs12(bytes, passphrase)
        : fromDer(bytes, passphrase)
  const keys = found.filter(({ key }) => key.asymmetricKeyType === 'rsa')
  if (keys.length > 0) return keys
  const kind = found[0]?.key.asymmetricKeyType ?? 'none'
  throw new PrivateKeyError('not_rsa', `its type is ${kind}, it is not an RSA private key`)
}

function fromPem(text: string, passphrase: string | undefined): FoundKey[] {
  if (text.includes('-----BEGIN PGP PUBLIC')) {
    throw new PrivateKeyError(
      'not_a_key',
      'it is a public key of OpenPGP, which opens nothing: gpg --export-secret-keys writes the private one',
    )
  }
  const certificates = [
    ...text.matchAll(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----([^-]*)-----END/gu),
  ].map(([, body = '']) => Uint8Array.from(Buffer.from(body, 'base64')))
  const blocks = [...text.matchAll(/-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY)-----[^]*?-----END \1-----/gu)]
  if (blocks.length > 0) {
    return blocks.map(([block]) => withCertificates(onePem(block, passphrase), certificates))
  }
  if (text.includes('PUBLIC KEY-----')) {
    throw new PrivateKeyError('not_a_key', 'it is a public key, which opens nothing')
  }
  if (certificates.length > 0) {
    throw new PrivateKeyError('not_a_key', 'it is a certificate, which opens nothing')
  }
  throw new PrivateKeyError('not_a_key', 'it is no private key that could be read')
}

function onePem(key: string, passphrase: string | undefined): KeyObject {
  if (key.startsWith('-----BEGIN OPENSSH ')) return readOpensshKey(key)
  const isEncrypted = key.includes('ENCRYPTED')
  if (isEncrypted && passphrase === undefined) {
    throw new PrivateKeyError('needs_passphrase', 'it is protected by a passphrase')
  }
  try {
    return createPrivateKey({ key, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) })
  } catch {
    throw isEncrypted
      ? new PrivateKeyError('wrong_passphrase', 'it does not open with this passphrase')
      : new PrivateKeyError('not_a_key', 'it is no private key that could be read')
  }
}

function fromPkcs12(bytes: Uint8Array, passphrase: string | undefined): FoundKey[] {
  const { keys, certificates } = readPkcs12(bytes, passphrase)
  if (keys.length === 0) {
    throw new PrivateKeyError('not_a_key', 'it is a PKCS #12 store without a private key')
  }
  return keys.map(({ key, alias }) => withCertificates(key, certificates, alias === undefined ? [] : [alias]))
}

function fromDer(bytes: Uint8Array, passphrase: string | undefined): FoundKey[] {
  // JKS and JCEKS, of Java before 9.
  const magic = Buffer.from(bytes.subarray(0, 4)).toString('hex')
  if (magic === 'feedfeed' || magic === 'cececece') {
    throw new PrivateKeyError(
      'not_a_key',
      'it is a Java key store: keytool -importkeystore -deststoretype pkcs12 makes PKCS #12 of it',
    )
  }
  const key = Buffer.from(bytes)
  for (const type of ['pkcs8', 'pkcs1'] as const) {
    try {
      const options = {
        key,
        format: 'der',
        type,
        ...(passphrase === undefined ? {} : { passphrase }),
      } as const
      return [withCertificates(createPrivateKey(options), [])]
    } catch {
      // It may be the other of the two; DER does not say.
    }
  }
  throw passphrase === undefined
    ? new PrivateKeyError(
        'not_a_key',
        'it is no PEM, DER, PKCS #12 or JWK private key, or it needs a passphrase',
      )
    : new PrivateKeyError(
        'wrong_passphrase',
        'it is no PEM, DER or PKCS #12 private key that opens with this passphrase',
      )
}

/** One JSON Web Key, or a set (RFC 7517 §4 and §5). */
function fromJson(text: string): FoundKey[] {
  try {
    const content = JSON.parse(text) as { readonly keys?: unknown }
    if (!Array.isArray(content.keys)) return [fromJwk(content)]
    const isPrivate = (one: unknown): boolean => typeof one === 'object' && one !== null && 'd' in one
    const keys = content.keys.filter(isPrivate)
    if (keys.length > 0) return keys.map(fromJwk)
  } catch {
    // Told below.
  }
  throw new PrivateKeyError('not_a_key', 'it is JSON, but no private JSON Web Key')
}

function fromJwk(jwk: object): FoundKey {
  const { kid, alg } = jwk as { readonly kid?: unknown; readonly alg?: unknown }
  return {
    // Checked by createPrivateKey, which throws for whatever is no private key.
    key: createPrivateKey({ key: jwk, format: 'jwk' }),
    keyIds: typeof kid === 'string' ? [kid] : [],
    algorithm: typeof alg === 'string' ? alg : undefined,
    certificates: [],
  }
}

function withCertificates(
  key: KeyObject,
  certificates: readonly Uint8Array[],
  keyIds: readonly string[] = [],
): FoundKey {
  const isOf = (certificate: Uint8Array): boolean => {
    try {
      return new X509Certificate(certificate).checkPrivateKey(key)
    } catch {
      return false
    }
  }
  return { key, keyIds, algorithm: undefined, certificates: certificates.filter(isOf) }
}
