/** How callers come by the key of their blind indexes. */

import { describe, expect, test } from 'vitest'

import { indexName } from '../../src/keys/keyring-names.ts'
import { codeOf } from '../refusals.ts'
import { counted, open, WatchedStore } from './keyring-fixtures.ts'

const place = { table: 't', column: 'c', value: new Uint8Array(1) }

describe('an index key', () => {
  test('is made once, however many ask together', async () => {
    const { identity, recipient, count } = counted()
    const { keyring, store } = open({ identities: [identity], recipients: [recipient] })
    const keys = await Promise.all(Array.from({ length: 100 }, () => keyring.indexKey('users')))
    expect(count).toEqual({ wraps: 1, unwraps: 1 })
    expect(new Set(keys.map((key) => key.blindIndex(place).toString())).size).toBe(1)
    expect(await store.all()).toHaveLength(1)
  })

  test('is unwrapped once by those who find it', async () => {
    const { store } = await withIndexKey()
    const { identity, recipient, count } = counted()
    const { keyring } = open({ identities: [identity], recipients: [recipient], store })
    await Promise.all(Array.from({ length: 100 }, () => keyring.indexKey('users')))
    expect(count).toEqual({ wraps: 0, unwraps: 1 })
  })

  test('is the same for keyrings that race', async () => {
    const store = new WatchedStore()
    const keys = await Promise.all(
      Array.from({ length: 10 }, () => open({ store }).keyring.indexKey('users')),
    )
    expect(new Set(keys.map((key) => key.blindIndex(place).toString())).size).toBe(1)
    expect(await store.all()).toHaveLength(1)
  })

  test('asks nothing of the store once it is at hand', async () => {
    const { keyring, store } = await withIndexKey()
    const asked = { ...store.asked }
    using again = await keyring.indexKey('users')
    expect(again.blindIndex(place)).toHaveLength(8)
    expect(store.asked).toEqual(asked)
  })

  test('that could not be made is made by whoever asks next', async () => {
    const { keyring, store } = open()
    store.failing.set('insertWriting', new TypeError('no disk'))
    const both = await Promise.allSettled([keyring.indexKey('users'), keyring.indexKey('users')])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    store.failing.clear()
    await keyring.indexKey('users')
    expect(await store.all()).toMatchObject([{ name: indexName('users') }])
  })

  test('that was destroyed is not what those get who ask next', async () => {
    const { keyring, store } = await withIndexKey()
    using before = await keyring.indexKey('users')
    const index = before.blindIndex(place)
    await keyring.destroyAll('users', { keyContext: {} })
    expect(await codeOf(() => before.blindIndex(place))).toBe('bad_input')
    const [one, other] = await Promise.all([keyring.indexKey('users'), keyring.indexKey('users')])
    expect(one.blindIndex(place)).not.toEqual(index)
    expect(other.blindIndex(place)).toEqual(one.blindIndex(place))
    expect(await store.all()).toHaveLength(1)
  })
})

async function withIndexKey() {
  const opened = open()
  await opened.keyring.indexKey('users')
  return opened
}
