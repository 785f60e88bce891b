import { createHmac, randomBytes } from 'node:crypto'

import { Secret } from '@longhold/core'
import { expect, test } from 'vitest'

import { framed } from '../../src/service/framing.ts'
import { hmacSha256 } from '../../src/service/hmac.ts'

test('is the HMAC of node:crypto, for keys and messages of any length', () => {
  for (const keyBytes of [1, 32, 63, 64]) {
    for (const messageBytes of [0, 1, 55, 64, 1984, 1985, 10_000]) {
      const [key, message] = [
        new Uint8Array(randomBytes(keyBytes)),
        new Uint8Array(randomBytes(messageBytes)),
      ]
      const expected = createHmac('sha256', key).update(message).digest('hex')
      expect(Buffer.from(hmacSha256(Secret.copyOf(key), message)).toString('hex')).toBe(expected)
    }
  }
})

test('takes no key of more than a block, and owns what it returns', () => {
  expect(() => hmacSha256(Secret.take(new Uint8Array(65)), new Uint8Array(0))).toThrow('65 bytes')
  const key = Secret.take(new Uint8Array(32))
  const first = hmacSha256(key, Uint8Array.of(1))
  const copy = Uint8Array.from(first)
  hmacSha256(key, Uint8Array.of(2))
  expect(first).toEqual(copy)
  expect(first.buffer.byteLength).toBe(32)
})

test('parts are framed by their lengths: text as UTF-8, numbers as eight bytes', () => {
  const parts = framed('ü', Uint8Array.of(7), 2 ** 33 + 5, '')
  expect(Buffer.from(parts).toString('hex')).toBe('00000002c3bc000000010700000008000000020000000500000000')
})
