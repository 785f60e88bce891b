/**
 * The runtime's own WebCrypto, which in this Node has the whole hybrid KEM (experimental).
 *
 * Why this is its fastest path: CryptoKeys are imported once; `encapsulateBits` and `decapsulateBits` give bytes
 * without making another CryptoKey of the secret.
 */

import { expectBytes, expectEncapsulation, type Inputs, type Peer } from './peer.ts'

const algorithm = 'MLKEM768-X25519'

/** The part of SubtleCrypto that lib.dom does not describe yet. */
interface KemSubtle {
  importKey(
    format: string,
    key: Uint8Array,
    name: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>
  generateKey(name: string, extractable: boolean, usages: string[]): Promise<unknown>
  encapsulateBits(name: string, key: CryptoKey): Promise<{ sharedKey: ArrayBuffer; ciphertext: ArrayBuffer }>
  decapsulateBits(name: string, key: CryptoKey, ciphertext: Uint8Array): Promise<ArrayBuffer>
}

export async function webcrypto(inputs: Inputs): Promise<Peer> {
  const subtle = crypto.subtle as unknown as KemSubtle // see KemSubtle
  const theirs = await subtle.importKey('raw-public', inputs.publicKey, algorithm, false, ['encapsulateBits'])
  const ours = await subtle.importKey('raw-seed', inputs.seed, algorithm, false, ['decapsulateBits'])

  const encapsulate = () => subtle.encapsulateBits(algorithm, theirs)
  const decapsulate = () => subtle.decapsulateBits(algorithm, ours, inputs.encapsulatedKey)

  expectBytes(await decapsulate(), inputs.sharedSecret, 'WebCrypto decapsulates')
  const made = await encapsulate()
  expectEncapsulation(
    inputs,
    { encapsulatedKey: new Uint8Array(made.ciphertext), sharedSecret: new Uint8Array(made.sharedKey) },
    'WebCrypto',
  )
  return {
    name: 'WebCrypto MLKEM768-X25519',
    kind: 'peer',
    operations: {
      generate: () => subtle.generateKey(algorithm, false, ['encapsulateBits', 'decapsulateBits']),
      encapsulate,
      decapsulate,
    },
  }
}
