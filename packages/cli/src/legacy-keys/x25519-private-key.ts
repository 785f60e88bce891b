/** An X25519 private key and its one operation (RFC 7748 §6.1). */

import { createPublicKey, diffieHellman } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import type { X25519PrivateKey } from '../formats/legacy-format.ts'

export class X25519Key implements X25519PrivateKey {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  constructor(name: string, key: KeyObject) {
    this.name = name
    this.publicKey = Uint8Array.from(
      Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url'),
    )
    this.#key = key
  }

  agree(theirPublicKey: Uint8Array): Uint8Array | undefined {
    try {
      const x = Buffer.from(theirPublicKey).toString('base64url')
      const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
      return Uint8Array.from(diffieHellman({ privateKey: this.#key, publicKey }))
    } catch {
      // Of small order: the secret would be zero.
      return undefined
    }
  }
}
