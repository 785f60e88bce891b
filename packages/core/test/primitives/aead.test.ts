import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { backend } from '../../src/primitives/backend.ts'
import { describeBackends } from '../backends.ts'
import { filled, flipped, hex } from '../samples.ts'
import { casesOf } from '../vectors.ts'

interface AeadCase {
  readonly tcId: number
  readonly keySize: number
  readonly ivSize: number
  readonly tagSize: number
  readonly key: string
  readonly iv: string
  readonly aad: string
  readonly msg: string
  readonly ct: string
  readonly tag: string
  readonly result: 'valid' | 'invalid'
}

describeBackends(() => {
  const ours = (result: AeadCase['result']) =>
    (casesOf('wycheproof/aes_gcm_test.json') as AeadCase[]).filter(
      (each) => each.keySize === 256 && each.ivSize === 96 && each.tagSize === 128 && each.result === result,
    )

  test('Wycheproof: 39 messages with keys of 256, nonces of 96 and tags of 128 bits', () => {
    const cases = ours('valid')
    expect(cases).toHaveLength(39)
    for (const { tcId, key, iv, aad, msg, ct, tag } of cases) {
      const aead = backend().aes256gcm(hex(key))
      const sealed = new Uint8Array(msg.length / 2 + 16)
      aead.seal(hex(iv), hex(msg), hex(aad), sealed)
      expect(toHex(sealed), `case ${tcId}`).toBe(ct + tag)
      const opened = filled(0xee, msg.length / 2)
      expect(aead.open(hex(iv), sealed, hex(aad), opened), `case ${tcId}`).toBe(true)
      expect(toHex(opened), `case ${tcId}`).toBe(msg)
    }
  })

  test('Wycheproof: 27 altered tags', () => {
    const cases = ours('invalid')
    expect(cases).toHaveLength(27)
    for (const { tcId, key, iv, aad, ct, tag } of cases) {
      const opened = new Uint8Array(ct.length / 2)
      const sealed = hex(ct + tag)
      expect(backend().aes256gcm(hex(key)).open(hex(iv), sealed, hex(aad), opened), `case ${tcId}`).toBe(
        false,
      )
    }
  })

  test('a wrong tag leaves no plaintext behind', () => {
    const aead = backend().aes256gcm(filled(1))
    const sealed = new Uint8Array(48)
    aead.seal(filled(2, 12), filled(3), new Uint8Array(), sealed)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const opened = filled(0xee)
      expect(aead.open(filled(2, 12), flipped(sealed, bit), new Uint8Array(), opened)).toBe(false)
      expect(opened).toEqual(new Uint8Array(32))
    }
  })
})
