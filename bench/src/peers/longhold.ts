/**
 * Longhold on either backend: keys prepared once, as its recipients and identities keep them. A data key is
 * wrapped and unwrapped through the public `Recipient.wrap` and `Identity.unwrap`, one stanza, empty key context.
 */

import { DataKey, LocalIdentity } from '../../../packages/core/src/index.ts'
import { testingUseBackend } from '../../../packages/core/src/primitives/backend.ts'
import { mlKem768X25519 } from '../../../packages/core/src/primitives/hybrid-kem.ts'
import { randomBytes } from '../../../packages/core/src/primitives/random.ts'
import { expectBytes, expectEncapsulation, type Inputs, type Peer } from './peer.ts'

export const longholdNative = (inputs: Inputs): Promise<Peer> => longhold('native', inputs)
export const longholdNoble = (inputs: Inputs): Promise<Peer> => longhold('noble', inputs)

/** Not the KEM's key pair alone but what the library hands out: an identity, its recipient checked and ready. */
export async function longholdIdentity(): Promise<Peer> {
  return {
    name: 'longhold, node:crypto, whole identity',
    kind: 'ours',
    before: () => testingUseBackend('native'),
    operations: { generate: () => LocalIdentity.generate() },
  }
}

async function longhold(backend: 'native' | 'noble', inputs: Inputs): Promise<Peer> {
  const before = () => testingUseBackend(backend)
  before()
  const { seed, publicKey, encapsulatedKey } = inputs
  const theirs = mlKem768X25519.encapsulationKey(publicKey)
  const ours = mlKem768X25519.decapsulationKey(seed)
  const identity = LocalIdentity.fromSeed(seed)
  const { recipient } = identity
  const dataKey = DataKey.from(inputs.dataKey)
  const bound = { keyId: dataKey.keyId, keyContext: [] }

  const encapsulate = () => theirs.encapsulate()
  const decapsulate = () => ours.decapsulate(encapsulatedKey)
  const seal = () => recipient.wrap(inputs.dataKey, bound)
  const stanza = await seal()
  const open = () => identity.unwrap(stanza, bound)

  const name = `longhold, ${backend === 'native' ? 'node:crypto' : 'portable'}`
  expectBytes(ours.publicKey, publicKey, `${name} derives`)
  expectBytes(decapsulate(), inputs.sharedSecret, `${name} decapsulates`)
  expectEncapsulation(inputs, encapsulate(), name)
  const secret = await open()
  secret.use((bytes) => expectBytes(bytes, inputs.dataKey, `${name} unwraps`))
  return {
    name,
    kind: 'ours',
    before,
    operations: {
      generate: () => mlKem768X25519.decapsulationKey(randomBytes(32)),
      encapsulate,
      decapsulate,
      seal,
      open,
    },
  }
}
