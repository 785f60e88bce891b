/** Whom a key service says to be, and whether it is the one that was pinned. */

import { concat, equalBytes, fromBase64url, fromHex, utf8 } from '../bytes.ts'
import { badInput } from '../errors.ts'
import type { LongholdError } from '../errors.ts'
import { backend } from '../primitives/backend.ts'
import { mlDsa65PublicKeyBytes, verifyMlDsa65 } from '../primitives/ml-dsa.ts'
import { strangeAnswer, unavailable } from './problems.ts'
import type { SigningIdentity } from './wire.ts'

const clusterIdBytes = 16

/**
 * The SHA-256 that a pin says.
 *
 * @param pin 64 hexadecimal digits, spaces between them or not: as the service prints its fingerprint.
 * @throws LongholdError `bad_input`.
 */
export function parsePin(pin: string): Uint8Array {
  const digest = typeof pin === 'string' ? fromHex(pin.replaceAll(' ', '').toLowerCase()) : undefined
  if (digest?.length !== 32) {
    throw badInput('this is not the fingerprint of a key service', 'it has 64 hexadecimal digits')
  }
  return digest
}

/** An identity whose public key is the pinned one. */
export class PinnedIdentity {
  readonly #clusterId: Uint8Array
  readonly #publicKey: Uint8Array

  /** @throws LongholdError `unavailable` when the service shows another key than the pinned one, or none. */
  constructor(url: string, identity: SigningIdentity, pinned: Uint8Array) {
    const publicKey = bytesOf(identity?.public_key)
    const clusterId = clusterIdOf(identity?.cluster_id)
    if (publicKey?.length !== mlDsa65PublicKeyBytes || clusterId === undefined) throw strangeAnswer(url)
    if (!equalBytes(backend().sha256(publicKey), pinned)) {
      throw unavailable(`what answers at ${url} is not the key service whose fingerprint was given`, {
        hint: 'somebody stands in between, or the service was set up anew: compare the fingerprint on its machine',
      })
    }
    this.#publicKey = publicKey
    this.#clusterId = clusterId
  }

  /** Whether it signed these parts, of this kind, for its own cluster. */
  hasSigned(
    kind: string,
    parts: readonly (Uint8Array | string | number)[],
    { cluster_id: clusterId, signature }: { readonly cluster_id: unknown; readonly signature: unknown },
  ): boolean {
    const bytes = bytesOf(signature)
    const ofCluster = clusterIdOf(clusterId)
    if (bytes === undefined || ofCluster === undefined || !equalBytes(ofCluster, this.#clusterId))
      return false
    const message = framed(`longhold/kms/v1/${kind}`, this.#clusterId, ...parts)
    return verifyMlDsa65(this.#publicKey, message, bytes)
  }
}

export function notSigned(url: string, what: string): LongholdError {
  return unavailable(`${what} of the key service at ${url} is not signed by it`, {
    hint: 'somebody stands in between: compare the fingerprint on the machine of the service',
  })
}

/** Each part behind four bytes of length, big-endian: text as UTF-8, numbers as eight bytes. */
function framed(...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  return concat(
    ...parts.flatMap((part) => {
      const bytes = typeof part === 'string' ? utf8(part) : typeof part === 'number' ? unsigned64(part) : part
      return [unsigned32(bytes.length), bytes]
    }),
  )
}

function unsigned32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

function unsigned64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

/** The service may be another than its types say. */
function bytesOf(text: unknown): Uint8Array | undefined {
  return typeof text === 'string' ? fromBase64url(text) : undefined
}

function clusterIdOf(text: unknown): Uint8Array | undefined {
  const bytes = typeof text === 'string' ? fromHex(text) : undefined
  return bytes?.length === clusterIdBytes ? bytes : undefined
}
