/** Batches of KEM operations, results joined in one buffer so that a thread hands it over without copying. */

import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { mlKem768X25519 } from '../../packages/core/src/primitives/hybrid-kem.ts'

export type BatchRequest =
  | { readonly operation: 'encapsulate'; readonly count: number }
  | { readonly operation: 'decapsulate'; readonly keys: Uint8Array }

const encapsulatedKeyBytes = 1120
const secretBytes = 32

export function makeBatchJobs({
  seed,
  publicKey,
}: {
  readonly seed: Uint8Array
  readonly publicKey: Uint8Array
}) {
  testingUseBackend('native')
  const theirs = mlKem768X25519.encapsulationKey(publicKey)
  const ours = mlKem768X25519.decapsulationKey(seed)
  return {
    /** `count` times shared secret ‖ encapsulated key. */
    encapsulate(count: number): Uint8Array<ArrayBuffer> {
      const results = new Uint8Array(count * (secretBytes + encapsulatedKeyBytes))
      for (let i = 0, at = 0; i < count; i++, at += secretBytes + encapsulatedKeyBytes) {
        const { sharedSecret, encapsulatedKey } = theirs.encapsulate()
        results.set(sharedSecret, at)
        results.set(encapsulatedKey, at + secretBytes)
      }
      return results
    },
    /** The shared secrets of encapsulated keys that stand one after the other. */
    decapsulate(keys: Uint8Array): Uint8Array<ArrayBuffer> {
      const results = new Uint8Array((keys.length / encapsulatedKeyBytes) * secretBytes)
      for (let from = 0, to = 0; from < keys.length; from += encapsulatedKeyBytes, to += secretBytes) {
        results.set(ours.decapsulate(keys.subarray(from, from + encapsulatedKeyBytes)), to)
      }
      return results
    },
  }
}
