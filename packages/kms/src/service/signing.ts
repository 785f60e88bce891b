/**
 * What the service signs with: ML-DSA-65 (FIPS 204), pure, empty context. A signature stands under a label of its own
 * kind and the cluster's id, so that none is valid as another.
 */

import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { concat, toHex } from '@longhold/core'

import { framed } from './framing.ts'

export const signingPublicKeyBytes = 1952
export const signatureBytes = 3309

// PKCS#8 with the seed alone (RFC 9881 §6).
const seedPrefix = Uint8Array.from(Buffer.from('3034020100300b060960864801650304031204228020', 'hex'))

/** What is signed, by its kind. */
export type SignedKind = 'bundle' | 'checkpoint' | 'report'

export class Signer {
  readonly clusterId: Uint8Array
  /** 1,952 bytes. */
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  /** @param seed 32 bytes: borrowed, not kept. */
  constructor(clusterId: Uint8Array, seed: Uint8Array) {
    const encoded = concat(seedPrefix, seed)
    try {
      this.#key = createPrivateKey({ key: Buffer.from(encoded.buffer), format: 'der', type: 'pkcs8' })
    } finally {
      encoded.fill(0)
    }
    this.clusterId = clusterId
    this.publicKey = new Uint8Array(createPublicKey(this.#key).export({ format: 'raw-public' }))
  }

  /** 3,309 bytes over label, cluster id and the parts, each with its length in front. */
  sign(kind: SignedKind, ...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
    return new Uint8Array(sign(null, signedBytes(kind, this.clusterId, parts), this.#key))
  }
}

/** Whether the signature is that of the holder of `publicKey`; `false` also for what is no signature or no key. */
export function verifySignature(
  signer: { readonly clusterId: Uint8Array; readonly publicKey: Uint8Array },
  kind: SignedKind,
  signature: Uint8Array,
  ...parts: readonly (Uint8Array | string | number)[]
): boolean {
  if (signature.length !== signatureBytes || signer.publicKey.length !== signingPublicKeyBytes) return false
  const key = createPublicKey({
    key: Buffer.from(signer.publicKey),
    format: 'raw-public',
    asymmetricKeyType: 'ml-dsa-65',
  })
  return verify(null, signedBytes(kind, signer.clusterId, parts), key, signature)
}

/** What people compare: the SHA-256 of the public key in hexadecimal, in groups of four digits. */
export function fingerprint(publicKey: Uint8Array): string {
  const digest = toHex(createHash('sha256').update(publicKey).digest())
  return digest.match(/.{4}/gu)?.join(' ') ?? digest
}

function signedBytes(
  kind: SignedKind,
  clusterId: Uint8Array,
  parts: readonly (Uint8Array | string | number)[],
): Uint8Array {
  return framed(`longhold/kms/v1/${kind}`, clusterId, ...parts)
}
