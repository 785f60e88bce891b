/** Another implementation of HPKE, `hpke`, opens what we wrap, and we what it seals (SPEC §1.4, §5.2). */

import {
  AEAD_AES_256_GCM,
  CipherSuite,
  KDF_HKDF_SHA256,
  KDF_HKDF_SHA384,
  KEM_MLKEM1024_P384,
  KEM_MLKEM768_X25519,
} from 'hpke'
import { expect, test } from 'vitest'

import { concat, utf8 } from '../../src/bytes.ts'
import { canonicalContext, DataKey, defaultSuite, generateIdentity } from '../../src/index.ts'
import type { EncryptionContext } from '../../src/index.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { describeBackends } from '../backends.ts'
import { codeOf } from '../refusals.ts'
import { flipped } from '../samples.ts'

const suites = [
  {
    suite: defaultSuite,
    theirs: new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_AES_256_GCM),
  },
  {
    suite: mlKem1024P384Suite,
    theirs: new CipherSuite(KEM_MLKEM1024_P384, KDF_HKDF_SHA384, AEAD_AES_256_GCM),
  },
]
const contexts: readonly EncryptionContext[] = [[], [['tenant', 'a']], [['tenant', 'a'.repeat(4000)]]]

describeBackends(() => {
  for (const { suite, theirs } of suites) {
    const { encapsulatedKeyBytes } = suite.kem

    test.each(contexts)(`${suite.name}, both ways, context %#`, async (...keyContext) => {
      const identity = generateIdentity({ suite })
      const dataKey = DataKey.generate()
      const bound = { keyId: dataKey.keyId, keyContext }
      const info = concat(
        utf8('longhold/v1/wrap\0'),
        dataKey.keyId,
        identity.recipientId,
        canonicalContext(keyContext),
      )
      const publicKey = await theirs.DeserializePublicKey(identity.recipient.publicKey)
      const privateKey = await identity.useSeed((seed) => theirs.DeserializePrivateKey(seed, false))
      const secret = dataKey.use((bytes) => new Uint8Array(bytes))

      const ours = await identity.recipient.wrap(secret, bound)
      const encapsulated = ours.payload.slice(0, encapsulatedKeyBytes)
      const wrapped = ours.payload.slice(encapsulatedKeyBytes)
      expect(await theirs.Open(privateKey, encapsulated, wrapped, { info })).toEqual(secret)
      await expect(
        theirs.Open(privateKey, encapsulated, wrapped, { info: flipped(info, 20) }),
      ).rejects.toThrow()

      const sealed = await theirs.Seal(publicKey, secret, { info })
      const stanza = { ...ours, payload: concat(sealed.encapsulatedSecret, sealed.ciphertext) }
      using opened = await identity.unwrap(stanza, bound)
      expect(opened.use((bytes) => new Uint8Array(bytes))).toEqual(secret)
      const altered = { ...stanza, payload: flipped(stanza.payload, 7) }
      expect(await codeOf(() => identity.unwrap(altered, bound))).toBe('cannot_open')
    })
  }
})
