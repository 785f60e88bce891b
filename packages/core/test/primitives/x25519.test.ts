import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { backend } from '../../src/primitives/backend.ts'
import { describeBackends } from '../backends.ts'
import { filled, hex } from '../samples.ts'
import { casesOf } from '../vectors.ts'

interface XdhCase {
  readonly tcId: number
  readonly flags: readonly string[]
  readonly public: string
  readonly private: string
  readonly shared: string
}

describeBackends(() => {
  const cases = casesOf('wycheproof/x25519_test.json') as XdhCase[] // its shape
  const isAllZero = ({ flags }: XdhCase) => flags.includes('ZeroSharedSecret')

  test('Wycheproof: 487 secrets, of twisted and non-canonical public keys too', () => {
    const { x25519 } = backend()
    const agreeing = cases.filter((each) => !isAllZero(each))
    expect(agreeing).toHaveLength(487)
    for (const each of agreeing) {
      const theirs = x25519.publicKey(hex(each.public))
      x25519.checkPublicKey(theirs)
      const shared = x25519.privateKey(hex(each.private)).agree(theirs)
      expect(toHex(shared), `case ${each.tcId}`).toBe(each.shared)
    }
  })

  test('Wycheproof: 31 public keys of low order are refused, when wrapping and when opening', () => {
    const { x25519 } = backend()
    const refused = cases.filter(isAllZero)
    expect(refused).toHaveLength(31)
    for (const each of refused) {
      const theirs = x25519.publicKey(hex(each.public))
      expect(() => x25519.checkPublicKey(theirs), `case ${each.tcId}`).toThrow()
      expect(() => x25519.privateKey(hex(each.private)).agree(theirs), `case ${each.tcId}`).toThrow()
    }
  })

  test('a given scalar fixes an ephemeral key; without one each is another', () => {
    const { x25519 } = backend()
    expect(x25519.ephemeral(filled(7)).publicKey).toEqual(x25519.privateKey(filled(7)).publicKey)
    expect(x25519.ephemeral().publicKey).not.toEqual(x25519.ephemeral().publicKey)
  })
})
