import { expect, test } from 'vitest'

import { concat, equalBytes, toHex } from '../../src/bytes.ts'
import { mlKem768X25519 } from '../../src/primitives/hybrid-kem.ts'
import { describeBackend, describeBackends, onBackend } from '../backends.ts'
import { codeOf, syncCodeOf } from '../refusals.ts'
import { changed, filled, hex } from '../samples.ts'
import { casesOf, readVectors } from '../vectors.ts'

interface XWingVector {
  readonly seed: string
  readonly eseed: string
  readonly ss: string
  readonly pk: string
  readonly ct: string
}

interface HpkeVector {
  readonly kem_id: number
  readonly skRm: string
  readonly pkRm: string
  readonly ikmE: string
  readonly enc: string
  readonly shared_secret: string
}

interface Exchange {
  readonly seed: string
  readonly publicKey: string
  /** ML-KEM m ‖ X25519 scalar. */
  readonly randomness: string
  readonly encapsulatedKey: string
  readonly sharedSecret: string
}

// The files' own shapes.
const xWing = (readVectors('xwing/draft-connolly-cfrg-xwing-kem-10.json') as XWingVector[]).map(
  ({ seed, eseed, ss, pk, ct }): Exchange => ({
    seed,
    publicKey: pk,
    randomness: eseed,
    encapsulatedKey: ct,
    sharedSecret: ss,
  }),
)
const hpkePq = (readVectors('hpke/hpke-pq-04.test-vectors.json') as HpkeVector[])
  .filter(({ kem_id }) => kem_id === 0x647a)
  .map((vector): Exchange => ({
    seed: vector.skRm,
    publicKey: vector.pkRm,
    randomness: vector.ikmE,
    encapsulatedKey: vector.enc,
    sharedSecret: vector.shared_secret,
  }))

const lowOrderPoints = [
  ...new Set(
    (casesOf('wycheproof/x25519_test.json') as { flags: string[]; public: string }[])
      .filter(({ flags }) => flags.includes('ZeroSharedSecret'))
      .map((each) => each.public),
  ),
]

describeBackends(() => {
  test.each([
    ['X-Wing, draft 10', xWing, 3],
    ['hpke-pq, KEM 0x647a', hpkePq, 2],
  ] as const)('%s: public keys and shared secrets', (_, exchanges, count) => {
    expect(exchanges).toHaveLength(count)
    for (const { seed, publicKey, encapsulatedKey, sharedSecret } of exchanges) {
      const key = mlKem768X25519.decapsulationKey(hex(seed))
      expect(toHex(key.publicKey)).toBe(publicKey)
      expect(toHex(key.decapsulate(hex(encapsulatedKey)))).toBe(sharedSecret)
    }
  })

  test('what one side encapsulates the other decapsulates, and each time it is another secret', () => {
    const ours = mlKem768X25519.decapsulationKey(filled(3))
    const theirs = mlKem768X25519.encapsulationKey(ours.publicKey)
    const [one, other] = [theirs.encapsulate(), theirs.encapsulate()]
    expect(one.encapsulatedKey).toHaveLength(1120)
    expect(ours.decapsulate(one.encapsulatedKey)).toEqual(one.sharedSecret)
    expect(ours.decapsulate(other.encapsulatedKey)).toEqual(other.sharedSecret)
    expect(equalBytes(one.sharedSecret, other.sharedSecret)).toBe(false)
  })

  test('an altered ML-KEM ciphertext gives another secret and no error (FIPS 203 §6.3)', () => {
    const ours = mlKem768X25519.decapsulationKey(filled(3))
    const { encapsulatedKey, sharedSecret } = mlKem768X25519.encapsulationKey(ours.publicKey).encapsulate()
    const forged = changed(encapsulatedKey, 500, (encapsulatedKey[500] ?? 0) ^ 1)
    expect(equalBytes(ours.decapsulate(forged), sharedSecret)).toBe(false)
  })

  test('public keys of another length, unreduced or of low order are refused as bad_key', () => {
    const { publicKey } = mlKem768X25519.decapsulationKey(filled(3))
    const refused = (bytes: Uint8Array) => syncCodeOf(() => mlKem768X25519.encapsulationKey(bytes))
    for (const length of [0, 32, 1184, 1215]) expect(refused(publicKey.subarray(0, length))).toBe('bad_key')
    expect(refused(concat(publicKey, filled(0, 1)))).toBe('bad_key')
    // The first 12-bit coefficient becomes 3,329 and 4,095: both are outside of the field.
    expect(refused(changed(publicKey, 0, 0x01, ((publicKey[1] ?? 0) & 0xf0) | 0x0d))).toBe('bad_key')
    expect(refused(changed(publicKey, 0, 0xff, (publicKey[1] ?? 0) | 0x0f))).toBe('bad_key')
    expect(lowOrderPoints.length).toBeGreaterThanOrEqual(7)
    for (const point of lowOrderPoints) {
      expect(refused(changed(publicKey, 1184, ...hex(point))), point).toBe('bad_key')
    }
  })

  test('seeds of another length are refused as bad_key', () => {
    for (const length of [0, 31, 33, 64]) {
      expect(syncCodeOf(() => mlKem768X25519.decapsulationKey(filled(1, length)))).toBe('bad_key')
    }
  })

  test('encapsulated keys of another length or with a low order share are refused as cannot_open', () => {
    const ours = mlKem768X25519.decapsulationKey(filled(3))
    const { encapsulatedKey } = mlKem768X25519.encapsulationKey(ours.publicKey).encapsulate()
    const refused = (bytes: Uint8Array) => syncCodeOf(() => ours.decapsulate(bytes))
    for (const length of [0, 1088, 1119]) {
      expect(refused(encapsulatedKey.subarray(0, length))).toBe('cannot_open')
    }
    expect(refused(concat(encapsulatedKey, filled(0, 1)))).toBe('cannot_open')
    for (const point of lowOrderPoints) {
      expect(refused(changed(encapsulatedKey, 1088, ...hex(point))), point).toBe('cannot_open')
    }
  })
})

describeBackend('noble', () => {
  test('X-Wing and hpke-pq: encapsulations with their randomness given', () => {
    for (const { publicKey, randomness, encapsulatedKey, sharedSecret } of [...xWing, ...hpkePq]) {
      const made = mlKem768X25519.encapsulationKey(hex(publicKey)).encapsulate(hex(randomness))
      expect(toHex(made.encapsulatedKey)).toBe(encapsulatedKey)
      expect(toHex(made.sharedSecret)).toBe(sharedSecret)
    }
  })
})

describeBackend('native', () => {
  test('where randomness cannot be given, the attempt is an error', () => {
    const { publicKey } = mlKem768X25519.decapsulationKey(filled(3))
    const key = mlKem768X25519.encapsulationKey(publicKey)
    expect(() => key.encapsulate(filled(1, 64))).toThrow('no encapsulation randomness')
  })
})

test('both backends make the same keys and open each other’s encapsulations', async () => {
  const keys = {
    native: await onBackend('native', () => mlKem768X25519.decapsulationKey(filled(9))),
    noble: await onBackend('noble', () => mlKem768X25519.decapsulationKey(filled(9))),
  }
  expect(keys.native.publicKey).toEqual(keys.noble.publicKey)
  for (const [writer, reader] of [
    ['native', 'noble'],
    ['noble', 'native'],
  ] as const) {
    const made = await onBackend(writer, () =>
      mlKem768X25519.encapsulationKey(keys[reader].publicKey).encapsulate(),
    )
    const opened = await onBackend(reader, () => keys[reader].decapsulate(made.encapsulatedKey))
    expect(toHex(opened)).toBe(toHex(made.sharedSecret))
  }
  expect(await codeOf(() => keys.native.decapsulate(filled(0, 1120)))).toBe('cannot_open')
})
