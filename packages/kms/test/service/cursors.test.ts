import { Secret } from '@longhold/core'
import { expect, test } from 'vitest'

import { Cursors } from '../../src/service/cursors.ts'

const secret = Secret.take(new Uint8Array(32).fill(7))
const cursors = new Cursors(() => ({ version: 1, secret }))
const scope = { list: '/v1/keys', principal: 'a' }

test('a cursor gives back its position, and does not show it', () => {
  const text = cursors.make(scope, 'payments')
  expect(cursors.read(scope, text)).toBe('payments')
  expect(Buffer.from(text, 'base64url').toString('latin1')).not.toContain('payments')
  expect(cursors.make(scope, 'payments')).not.toBe(text)
})

test('holds the longest position there is', () => {
  const position = 'x'.repeat(300)
  expect(cursors.read(scope, cursors.make(scope, position))).toBe(position)
})

const text = cursors.make(scope, 'payments')
const flipped = Buffer.from(text, 'base64url').map((byte, index) => (index === 20 ? byte ^ 1 : byte))

test.each<[string, { list: string; principal: string }, string]>([
  ['of another list', { ...scope, list: '/v1/tokens' }, text],
  ['of somebody else', { ...scope, principal: 'b' }, text],
  ['with list and principal moved', { list: '/v1/key', principal: 'sa' }, text],
  ['with a bit flipped', scope, Buffer.from(flipped).toString('base64url')],
  ['cut short', scope, text.slice(0, -4)],
  ['too short for a nonce', scope, 'AAAA'],
  ['that is empty', scope, ''],
  ['that is no base64url', scope, '*'],
  ['that is endless', scope, 'A'.repeat(100_000)],
  ['in the clear', scope, Buffer.from('payments').toString('base64url')],
])('a cursor %s is refused', (_, where, given) => {
  expect(() => cursors.read(where, given)).toThrow(expect.objectContaining({ code: 'malformed_request' }))
})

test('a cursor under a key that was replaced is refused', () => {
  const next = new Cursors(() => ({ version: 2, secret }))
  expect(() => next.read(scope, text)).toThrow(expect.objectContaining({ code: 'malformed_request' }))
})
