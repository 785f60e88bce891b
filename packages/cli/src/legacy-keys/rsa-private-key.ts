/** An RSA private key and its one operation. Kept as a KeyObject: a PEM text per call would triple the time. */

import { constants, createPublicKey, privateDecrypt } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import type { OaepParameters, PrivateKey } from '../formats/legacy-format.ts'
import { decodeOaep } from './oaep.ts'
import { PrivateKeyError } from './private-key-error.ts'

export class RsaPrivateKey implements PrivateKey {
  readonly name: string
  readonly modulusBytes: number
  readonly certificates: readonly Uint8Array[]
  readonly #key: KeyObject
  readonly #algorithm: string | undefined

  /**
   * @param about What its file says of it: certificates, and the one algorithm that it is for, as JOSE names it.
   * @throws PrivateKeyError when it is no RSA key.
   */
  constructor(
    name: string,
    key: KeyObject,
    about: {
      readonly certificates?: readonly Uint8Array[] | undefined
      readonly algorithm?: string | undefined
    } = {},
  ) {
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
    this.certificates = about.certificates ?? []
    this.#algorithm = about.algorithm
  }

  get publicKey(): Uint8Array {
    return Uint8Array.from(createPublicKey(this.#key).export({ type: 'spki', format: 'der' }))
  }

  unwrapOaep(wrapped: Uint8Array, parameters: OaepParameters): Uint8Array | undefined {
    const algorithm = parameters.hash === 'sha1' ? 'RSA-OAEP' : `RSA-OAEP-${parameters.hash.slice(3)}`
    if (wrapped.length !== this.modulusBytes || !this.#isFor(algorithm)) return undefined
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

  unwrapPkcs1(wrapped: Uint8Array): Uint8Array | undefined {
    if (wrapped.length !== this.modulusBytes || !this.#isFor('RSA1_5')) return undefined
    try {
      return privateDecrypt({ key: this.#key, padding: constants.RSA_PKCS1_PADDING }, wrapped)
    } catch {
      // A number beyond the modulus: the padding itself never fails (OpenSSL rejects it implicitly).
      return undefined
    }
  }

  /** The bare RSA operation (RFC 8017 §5.1.2); the result is as long as the modulus. */
  rawDecrypt(wrapped: Uint8Array): Buffer {
    return privateDecrypt({ key: this.#key, padding: constants.RSA_NO_PADDING }, wrapped)
  }

  /** RFC 7517 §4.4: a key with an algorithm is for no other. */
  #isFor(algorithm: string): boolean {
    return this.#algorithm === undefined || this.#algorithm === algorithm
  }
}
