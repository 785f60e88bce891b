/**
 * `hpke`, which runs on the runtime's WebCrypto.
 *
 * Why this is its fastest path: keys are deserialised once; the KEM is called by itself through its documented
 * interface, a data key by the single-shot `Seal` and `Open`, as its README does; `Open` gets the key pair, which
 * saves it from deriving the public key. A record is a message of its own too: the messages of one context open in the
 * order in which they were sealed and in no other, which no table of records has.
 */

import * as HPKE from 'hpke'

import { expectBytes, expectEncapsulation, type Inputs, type Peer } from './peer.ts'
import { checkRecord, recordContext, type RecordPeer } from './record-peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

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

/** Bytes in front of a ciphertext: 1,088 of ML-KEM-768 and 32 of X25519. */
const encapsulatedBytes = 1120

/** A message of its own: the encapsulated secret and behind it the ciphertext. */
async function singleShot(aad: Uint8Array) {
  const suite = new HPKE.CipherSuite(HPKE.KEM_MLKEM768_X25519, HPKE.KDF_HKDF_SHA256, HPKE.AEAD_AES_256_GCM)
  const pair = await suite.GenerateKeyPair(false)
  return {
    async seal(plaintext: Uint8Array): Promise<Uint8Array> {
      const { encapsulatedSecret, ciphertext } = await suite.Seal(pair.publicKey, plaintext, { aad })
      return Buffer.concat([encapsulatedSecret, ciphertext])
    },
    open: (message: Uint8Array): Promise<Uint8Array> =>
      suite.Open(pair, message.subarray(0, encapsulatedBytes), message.subarray(encapsulatedBytes), { aad }),
  }
}

export const hpkeRecords: RecordPeer = {
  name: 'hpke, single-shot',
  kind: 'peer',
  library: 'hpke',
  note: 'every record encapsulates a secret of its own',
  async prepare(plaintext) {
    const { seal, open } = await singleShot(Buffer.from(JSON.stringify(recordContext)))
    const encrypt = () => seal(plaintext)
    const record = await checkRecord('hpke', plaintext, encrypt, open)
    return { encrypt, decrypt: () => open(record), recordBytes: record.length }
  },
}

export async function hpkeWraps(dataKey: Uint8Array): Promise<WrapPeer> {
  const { seal, open } = await singleShot(Buffer.from(JSON.stringify(recordContext)))
  return await wrapPeer({ name: 'hpke', kind: 'peer', library: 'hpke' }, dataKey, () => seal(dataKey), open)
}
