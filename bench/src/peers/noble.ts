/**
 * noble alone, through its hybrid KEM.
 *
 * Why this is its fastest path: `ml_kem768_x25519` is the only hybrid it documents, and it has no prepared form:
 * every decapsulation expands the seed again. See noble-parts.ts for its pieces put together by hand.
 */

import { ml_kem768_x25519 } from '@noble/post-quantum/hybrid.js'

import { expectBytes, type Inputs, type Peer } from './peer.ts'

export async function noble(inputs: Inputs): Promise<Peer> {
  const { seed, publicKey, encapsulatedKey, sharedSecret } = inputs
  expectBytes(ml_kem768_x25519.decapsulate(encapsulatedKey, seed), sharedSecret, 'noble decapsulates')
  return {
    name: '@noble/post-quantum ml_kem768_x25519',
    kind: 'peer',
    operations: {
      generate: () => ml_kem768_x25519.keygen(),
      encapsulate: () => ml_kem768_x25519.encapsulate(publicKey),
      decapsulate: () => ml_kem768_x25519.decapsulate(encapsulatedKey, seed),
    },
  }
}
