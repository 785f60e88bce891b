/** An RSA private key and its one operation. Kept as a KeyObject: a PEM text per call would triple the time. */

import { constants, createPrivateKey, privateDecrypt } from 'node:crypto'
import type { JsonWebKeyInput, KeyObject } from 'node:crypto'

import type { OaepParameters, PrivateKey } from '../formats/legacy-format.ts'
import { decodeOaep } from './oaep.ts'

export class RsaPrivateKey implements PrivateKey {
  readonly name: string
  readonly modulusBytes: number
  readonly #key: KeyObject

  /** @throws PrivateKeyError when it is no RSA key. */
  constructor(name: string, key: KeyObject) {
    const bits = key.asymmetricKeyDetails?.modulusLength
    if (key.type !== 'private' || key.asymmetricKeyType !== 'rsa' || bits === undefined) {
      throw new PrivateKeyError(
        'not_rsa',
        `its type is ${key.asymmetricKeyType ?? 'none'}, it is not an RSA private key`,
      )
    }
    this.name = name
    this.modulusBytes = Math.ceil(bits / 8)
    this.#key = key
  }

  unwrapOaep(wrapped: Uint8Array, parameters: OaepParameters): Uint8Array | undefined {
    if (wrapped.length !== this.modulusBytes) return undefined
    try {
      return parameters.hash === parameters.mgf1Hash
        ? privateDecrypt(
            {
              key: this.#key,
              padding: constants.RSA_PKCS1_OAEP_PADDING,
              oaepHash: parameters.hash,
              oaepLabel: parameters.label,
            },
            wrapped,
          )
        : decodeOaep(this.rawDecrypt(wrapped), parameters)
    } catch {
      // OpenSSL tells a wrong length, a number beyond the modulus and bad padding apart; nobody else may.
      return undefined
    }
  }

  /** The bare RSA operation (RFC 8017 §5.1.2); the result is as long as the modulus. */
  rawDecrypt(wrapped: Uint8Array): Buffer {
    return privateDecrypt({ key: this.#key, padding: constants.RSA_NO_PADDING }, wrapped)
  }

  /** For a worker: a KeyObject can be sent, the class cannot. */
  get keyObject(): KeyObject {
    return this.#key
  }
}

/** Why bytes are no usable private key. The message holds nothing of them. */
export class PrivateKeyError extends Error {
  readonly code: 'not_a_key' | 'not_rsa' | 'needs_passphrase' | 'wrong_passphrase'

  constructor(code: PrivateKeyError['code'], message: string) {
    super(message)
    this.name = 'PrivateKeyError'
    this.code = code
  }
}

/**
 * A private key from PEM (PKCS #1, PKCS #8, encrypted or not), DER (the same) or a JSON Web Key.
 *
 * @param bytes The content of a key file.
 * @param passphrase For encrypted PEM and PKCS #8.
 * @throws PrivateKeyError
 */
export function parsePrivateKey(bytes: Uint8Array, passphrase: string | undefined): KeyObject {
  const text = Buffer.from(bytes).toString('latin1')
  if (text.includes('-----BEGIN PUBLIC KEY') || text.includes('-----BEGIN RSA PUBLIC KEY')) {
    throw new PrivateKeyError('not_a_key', 'it is a public key, which opens nothing')
  }
  if (text.includes('-----BEGIN CERTIFICATE') && !text.includes('PRIVATE KEY-----')) {
    throw new PrivateKeyError('not_a_key', 'it is a certificate, which opens nothing')
  }
  if (text.trimStart().startsWith('{')) return fromJwk(text)
  if (text.includes('-----BEGIN')) return fromPem(text, passphrase)
  return fromDer(bytes, passphrase)
}

function fromPem(text: string, passphrase: string | undefined): KeyObject {
  const isEncrypted = text.includes('ENCRYPTED')
  if (isEncrypted && passphrase === undefined) {
    throw new PrivateKeyError('needs_passphrase', 'it is protected by a passphrase')
  }
  try {
    return createPrivateKey({ key: text, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) })
  } catch {
    throw isEncrypted
      ? new PrivateKeyError('wrong_passphrase', 'it does not open with this passphrase')
      : new PrivateKeyError('not_a_key', 'it is no private key that could be read')
  }
}

function fromDer(bytes: Uint8Array, passphrase: string | undefined): KeyObject {
  const key = Buffer.from(bytes)
  for (const type of ['pkcs8', 'pkcs1'] as const) {
    try {
      return createPrivateKey({
        key,
        format: 'der',
        type,
        ...(passphrase === undefined ? {} : { passphrase }),
      })
    } catch {
      // It may be the other of the two; DER does not say.
    }
  }
  throw passphrase === undefined
    ? new PrivateKeyError('not_a_key', 'it is no PEM, DER or JWK private key, or it needs a passphrase')
    : new PrivateKeyError(
        'wrong_passphrase',
        'it is no PEM or DER private key that opens with this passphrase',
      )
}

function fromJwk(text: string): KeyObject {
  try {
    // Checked by createPrivateKey, which throws for whatever is no private key.
    const key = JSON.parse(text) as JsonWebKeyInput['key']
    return createPrivateKey({ key, format: 'jwk' })
  } catch {
    throw new PrivateKeyError('not_a_key', 'it is JSON, but no private JSON Web Key')
  }
}
