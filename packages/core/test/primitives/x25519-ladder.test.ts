/** The X25519 of browser bundles: Wycheproof's vectors, and the same public keys as the one with tables. */

import { expect, test } from 'vitest'

import { equalBytes } from '../../src/bytes.ts'
import { x25519 as ladder } from '../../src/primitives/x25519-ladder.ts'
import { x25519 as tables } from '../../src/primitives/x25519-noble.ts'
import { hex } from '../samples.ts'
import { casesOf } from '../vectors.ts'

interface XdhCase {
  readonly tcId: number
  readonly public: string
  readonly private: string
  readonly shared: string
}

test('Wycheproof: every secret, and every all-zero one refused', () => {
  const cases = casesOf('wycheproof/x25519_test.json') as XdhCase[] // the file's own schema
  const [refused = [], agreed = []] = [true, false].map((isZero) =>
    cases.filter(({ shared }) => /^0*$/.test(shared) === isZero),
  )
  expect(refused.length).toBeGreaterThan(20)
  expect(agreed.length).toBeGreaterThan(400)
  const agree = (keys: XdhCase) => ladder.getSharedSecret(hex(keys.private), hex(keys.public))
  for (const one of refused) expect(() => agree(one), String(one.tcId)).toThrow(/invalid/)
  for (const one of agreed) expect(equalBytes(agree(one), hex(one.shared)), String(one.tcId)).toBe(true)
})

test('public keys are those of the other implementation', () => {
  for (let value = 0; value < 40; value++) {
    const scalar = Uint8Array.from({ length: 32 }, (_, i) => value * 7 + i * 13)
    expect(ladder.getPublicKey(scalar)).toEqual(tables.getPublicKey(scalar))
  }
})
