/** Records encrypted by a keyring, however many come together. */

import { describe, expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { keyIdOf } from '../../src/index.ts'
import { codeOf } from '../refusals.ts'
import { open, recordContext } from './keyring-fixtures.ts'

const keyContext = { tenant: 'a' }
const options = { recordContext, keyContext }

describe('keyring.encrypt', () => {
  test('writes what the handle of that name and key context reads', async () => {
    const { keyring } = open()
    const record = await keyring.encrypt('users', Uint8Array.of(1, 2), options)
    const users = await keyring.dataKey('users', { keyContext })
    expect(users.decrypt(record, { recordContext })).toEqual(Uint8Array.of(1, 2))
    expect(await keyring.decrypt(record, options)).toEqual(Uint8Array.of(1, 2))
    expect(await codeOf(() => keyring.decrypt(record, { ...options, keyContext: {} }))).toBe('cannot_open')
    expect(await codeOf(() => keyring.decrypt(record, { recordContext: {} }))).toBe('cannot_open')
  })

  test('and of typed values', async () => {
    const { keyring } = open()
    const record = await keyring.encryptValue('users', { type: 'bigint', value: -5n }, options)
    expect(await keyring.decryptValue(record, options)).toEqual({ type: 'bigint', value: -5n })
    expect(await codeOf(() => keyring.decrypt(record, options))).toBe('cannot_open')
    const wrong = { type: 'bigint', value: 5 } as never
    expect(await codeOf(() => keyring.encryptValue('users', wrong, options))).toBe('bad_value')
  })

  test.each([
    ['many records', 2500, 1],
    ['many bytes', 100, 200_000],
  ])('%s at once all find room', async (_, count, bytes) => {
    const { keyring, store } = open()
    const plaintext = new Uint8Array(bytes)
    const records = await Promise.all(
      Array.from({ length: count }, () => keyring.encrypt('users', plaintext, options)),
    )
    expect(records).toHaveLength(count)
    const [stored, ...more] = await store.all()
    expect(more).toEqual([])
    expect(stored?.messages).toBeGreaterThanOrEqual(count)
    expect(stored?.bytes).toBeGreaterThanOrEqual(count * bytes)
  })

  test('goes on under the next data key at the limit', async () => {
    const { keyring } = open({ limits: { maxMessages: 10 } })
    const records = await Promise.all(
      Array.from({ length: 35 }, () => keyring.encrypt('users', new Uint8Array(1), options)),
    )
    const counts = Object.values(Object.groupBy(records, (record) => toHex(keyIdOf(record))))
    expect(counts.every((of) => of !== undefined && of.length <= 10)).toBe(true)
  })

  test('is about the plaintext and the contexts as they were given', async () => {
    const { keyring } = open()
    const [plaintext, given] = [new Uint8Array(3), { ...recordContext }]
    const encrypting = keyring.encrypt('users', plaintext, { recordContext: given })
    plaintext.fill(1)
    given.id = 'other'
    expect(await keyring.decrypt(await encrypting, { recordContext })).toEqual(new Uint8Array(3))
  })

  test('refuses what cannot be meant', async () => {
    const { keyring, store } = open({ limits: { maxBytes: 1000 } })
    const bytes = new Uint8Array(1)
    const codes = await Promise.all([
      codeOf(() => keyring.encrypt('users', 'text' as never, options)),
      codeOf(() => keyring.encrypt('', bytes, options)),
      codeOf(() => keyring.encrypt('users', bytes, {} as never)),
      codeOf(() => keyring.encrypt('users', bytes, { recordContext: { id: 1 } } as never)),
      codeOf(() => keyring.encrypt('users', new Uint8Array(1001), options)),
      codeOf(() => keyring.encrypt('users', new Uint8Array(64 * 1024 * 1024 + 1), options)),
    ])
    const limit = 'limit_exceeded'
    expect(codes).toEqual(['bad_input', 'bad_input', 'bad_input', 'bad_context', limit, limit])
    expect(await store.all()).toEqual([])
    await keyring.close()
    expect(await codeOf(() => keyring.encrypt('users', bytes, options))).toBe('bad_input')
  })
})
