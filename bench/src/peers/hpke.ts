/**
 * `hpke`, which runs on the runtime's WebCrypto.
 *
 * Why this is its fastest path: keys are deserialised once; the KEM is called by itself through its documented
 * interface, a data key by the single-shot `Seal` and `Open`, as its README does; `Open` gets the key pair, which
 * saves it from deriving the public key.
 */

import * as HPKE from 'hpke'

import { expectBytes, expectEncapsulation, type Inputs, type Peer } from './peer.ts'

export async function hpke(inputs: Inputs): Promise<Peer> {
  const { seed, encapsulatedKey, dataKey, info } = inputs
  const kem = HPKE.KEM_MLKEM768_X25519()
  const suite = new HPKE.CipherSuite(HPKE.KEM_MLKEM768_X25519, HPKE.KDF_HKDF_SHA256, HPKE.AEAD_AES_256_GCM)
  const publicKey = await suite.DeserializePublicKey(inputs.publicKey)
  const privateKey = await suite.DeserializePrivateKey(seed, false)
  const pair = { publicKey, privateKey }

  const encapsulate = () => kem.Encap(publicKey)
  const decapsulate = () => kem.Decap(encapsulatedKey, privateKey, publicKey)
  const seal = () => suite.Seal(publicKey, dataKey, { info })
  const sealed = await seal()
  const open = () => suite.Open(pair, sealed.encapsulatedSecret, sealed.ciphertext, { info })

  expectBytes(await decapsulate(), inputs.sharedSecret, 'hpke decapsulates')
  const made = await encapsulate()
  expectEncapsulation(inputs, { encapsulatedKey: made.enc, sharedSecret: made.shared_secret }, 'hpke')
  expectBytes(await open(), dataKey, 'hpke opens')
  return {
    name: 'hpke',
    kind: 'peer',
    operations: {
      generate: () => suite.GenerateKeyPair(false),
      encapsulate,
      decapsulate,
      seal,
      open,
    },
  }
}
