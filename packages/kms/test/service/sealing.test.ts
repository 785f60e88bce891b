import { randomBytes } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { framed } from '../../src/service/framing.ts'
import { openRow, sealRow } from '../../src/service/sealing.ts'
import type { RowAddress } from '../../src/service/sealing.ts'

const root = randomBytes(32)
const plaintext = randomBytes(32)
const here: RowAddress = {
  purpose: 'identity',
  clusterId: new Uint8Array(16).fill(1),
  rootVersion: 1,
  id: 'payments',
  version: 3,
  kind: 'kem 25722',
  publicKey: new Uint8Array(1216).fill(2),
}

describe('a sealed row', () => {
  test('opens where it was sealed', () => {
    const opened = openRow(root, here, sealRow(root, here, plaintext))
    expect(opened?.use((bytes) => Buffer.from(bytes))).toEqual(plaintext)
  })

  test.each<[string, Partial<RowAddress>]>([
    ['purpose', { purpose: 'own-key' }],
    ['cluster', { clusterId: new Uint8Array(16).fill(9) }],
    ['root version', { rootVersion: 2 }],
    ['id', { id: 'payment' }],
    ['version', { version: 4 }],
    ['kind', { kind: 'kem 81' }],
    ['public key', { publicKey: new Uint8Array(1216).fill(3) }],
    ['no public key', { publicKey: new Uint8Array(0) }],
  ])('does not open at another %s', (_, change) => {
    const sealed = sealRow(root, here, plaintext)
    expect(openRow(root, { ...here, ...change }, sealed)).toBeUndefined()
  })

  test('does not open under another root, nor with any bit of it flipped, nor cut short', () => {
    const sealed = sealRow(root, here, plaintext)
    expect(openRow(randomBytes(32), here, sealed)).toBeUndefined()
    for (let bit = 0; bit < 8 * sealed.length; bit++) {
      const altered = new Uint8Array(sealed)
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(openRow(root, here, altered), `bit ${bit}`).toBeUndefined()
    }
    for (let length = 0; length < sealed.length; length++) {
      expect(openRow(root, here, sealed.subarray(0, length)), `${length} bytes`).toBeUndefined()
    }
  })

  test('differs each time', () => {
    expect(sealRow(root, here, plaintext)).not.toEqual(sealRow(root, here, plaintext))
  })
})

describe('framing', () => {
  test('tells apart what joins to the same bytes', () => {
    const lists = [['ab', 'c'], ['a', 'bc'], ['abc'], ['abc', ''], ['', 'abc']]
    expect(new Set(lists.map((parts) => Buffer.from(framed(...parts)).toString('hex'))).size).toBe(
      lists.length,
    )
  })

  test('writes text, bytes and numbers, lengths first', () => {
    expect(Buffer.from(framed('é', Uint8Array.of(1), 258)).toString('hex')).toBe(
      '00000002c3a90000000101000000080000000000000102',
    )
  })
})
