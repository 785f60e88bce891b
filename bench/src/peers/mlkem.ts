/**
 * `mlkem`: ML-KEM-768 only, so its rows lack the X25519 half and are a lower bound for a hybrid built on it.
 *
 * Why this is its fastest path: `createMlKem768` gives the initialised instance with the synchronous methods that
 * its README recommends; it has no form in which a key is prepared.
 */

import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { createMlKem768 } from 'mlkem'

import { expectBytes, type Inputs, type Peer } from './peer.ts'

const halfOnly = 'ML-KEM-768 alone, without X25519'

export async function mlkem(_inputs: Inputs): Promise<Peer> {
  const kem = await createMlKem768()
  const [publicKey, secretKey] = kem.generateKeyPair()
  const [ciphertext, sharedSecret] = kem.encap(publicKey)

  expectBytes(ml_kem768.decapsulate(ciphertext, secretKey), sharedSecret, 'mlkem encapsulates')
  expectBytes(kem.decap(ciphertext, secretKey), sharedSecret, 'mlkem decapsulates')
  return {
    name: 'mlkem',
    kind: 'peer',
    notes: { generate: halfOnly, encapsulate: halfOnly, decapsulate: halfOnly },
    operations: {
      generate: () => kem.generateKeyPair(),
      encapsulate: () => kem.encap(publicKey),
      decapsulate: () => kem.decap(ciphertext, secretKey),
    },
  }
}
