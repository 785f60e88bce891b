/**
 * `@hpke/core` with `@hpke/hybridkem-x-wing`.
 *
 * Why this is its fastest path: keys are imported once, `suite.kem` is called directly for the KEM alone, and the
 * single-shot `seal` and `open` of its README are used for a data key. A secret key has no expanded form.
 */

import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { XWing } from '@hpke/hybridkem-x-wing'

import { expectBytes, expectEncapsulation, type Inputs, type Peer } from './peer.ts'
import { wrapPeer, type WrapPeer } from './wrap-peer.ts'

const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
const encapsulatedBytes = 1120

export async function hpkeCore(inputs: Inputs): Promise<Peer> {
  const recipientPublicKey = await suite.kem.importKey('raw', bufferOf(inputs.publicKey), true)
  const recipientKey = await suite.kem.importKey('raw', bufferOf(inputs.seed), false)
  const enc = bufferOf(inputs.encapsulatedKey)
  const dataKey = bufferOf(inputs.dataKey)
  const info = bufferOf(inputs.info)

  const encapsulate = () => suite.kem.encap({ recipientPublicKey })
  const decapsulate = () => suite.kem.decap({ recipientKey, enc })
  const seal = () => suite.seal({ recipientPublicKey, info }, dataKey)
  const sealed = await seal()
  const open = () => suite.open({ recipientKey, enc: sealed.enc, info }, sealed.ct)

  expectBytes(await decapsulate(), inputs.sharedSecret, '@hpke/core decapsulates')
  const made = await encapsulate()
  expectEncapsulation(
    inputs,
    { encapsulatedKey: new Uint8Array(made.enc), sharedSecret: new Uint8Array(made.sharedSecret) },
    '@hpke/core',
  )
  expectBytes(await open(), inputs.dataKey, '@hpke/core opens')
  return {
    name: '@hpke/core + @hpke/hybridkem-x-wing',
    kind: 'peer',
    operations: {
      generate: () => suite.kem.generateKeyPair(),
      encapsulate,
      decapsulate,
      seal,
      open,
    },
  }
}

export async function hpkeCoreWraps(dataKey: Uint8Array): Promise<WrapPeer> {
  const { publicKey: recipientPublicKey, privateKey: recipientKey } = await suite.kem.generateKeyPair()
  const plaintext = bufferOf(dataKey)
  return await wrapPeer(
    {
      name: '@hpke/core + @hpke/hybridkem-x-wing',
      kind: 'peer',
      library: '@hpke/core',
      note: 'binds no context',
    },
    dataKey,
    async () => {
      const { enc, ct } = await suite.seal({ recipientPublicKey }, plaintext)
      return Buffer.concat([new Uint8Array(enc), new Uint8Array(ct)])
    },
    async (wrapped) => {
      const enc = bufferOf(wrapped.subarray(0, encapsulatedBytes))
      return new Uint8Array(
        await suite.open({ recipientKey, enc }, bufferOf(wrapped.subarray(encapsulatedBytes))),
      )
    },
  )
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
