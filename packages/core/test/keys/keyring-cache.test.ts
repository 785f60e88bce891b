import { describe, expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { keyIdOf } from '../../src/index.ts'
import type { DataKey } from '../../src/keys/data-key.ts'
import { DataKeyCache } from '../../src/keys/keyring-cache.ts'
import { codeOf, syncCodeOf } from '../refusals.ts'
import { dataKeyOf } from '../samples.ts'
import { Clock, counted, open, recordContext } from './keyring-fixtures.ts'

const options = { recordContext }
const owner = { name: 'users', keyContext: [] }
const isWiped = (dataKey: DataKey) => {
  try {
    return dataKey.use(() => false)
  } catch {
    return true
  }
}

/** A cache, the data keys it was given, and how often it asked for one. */
function cacheOf(bounds: { maxKeys?: number; maxAgeMs?: number }) {
  const clock = new Clock()
  const cache = new DataKeyCache(bounds, clock.now, Infinity)
  const given = new Map<number, DataKey>()
  let loads = 0
  const hold = (n: number) =>
    cache.hold(idOf(n), async () => {
      loads++
      const dataKey = dataKeyOf(n)
      given.set(n, dataKey)
      return { dataKey, owner, createdAt: new Date(clock.ms), isVouched: true }
    })
  const wiped = (n: number) => isWiped(given.get(n) ?? dataKeyOf(n))
  return { cache, clock, hold, wiped, loads: () => loads }
}
const idOf = (n: number) => toHex(dataKeyOf(n).keyId)

describe('the cache of data keys', () => {
  test('keeps the most recently used, and wipes the others', async () => {
    const { cache, hold, wiped } = cacheOf({ maxKeys: 2 })
    for (const n of [1, 2]) (await hold(n)).release()
    expect(cache.peek(idOf(1))).toBeDefined()
    ;(await hold(3)).release()
    expect([1, 2, 3].map(wiped)).toEqual([false, true, false])
    expect(cache.peek(idOf(2))).toBeUndefined()
  })

  test('keeps what is held beyond its bound, and lets it go afterwards', async () => {
    const { hold, wiped } = cacheOf({ maxKeys: 1 })
    const held = [await hold(1), await hold(2), await hold(3)]
    expect([1, 2, 3].map(wiped)).toEqual([false, false, false])
    for (const one of held) one.release()
    expect([1, 2, 3].map(wiped)).toEqual([true, true, false])
  })

  test('wipes what has expired, at the latest when anything else comes', async () => {
    const { cache, clock, hold, wiped } = cacheOf({ maxAgeMs: 1000 })
    for (const n of [1, 2]) (await hold(n)).release()
    clock.ms += 999
    expect(cache.peek(idOf(1))).toBeDefined()
    clock.ms += 1
    expect(cache.peek(idOf(1))).toBeUndefined()
    expect(wiped(1)).toBe(true)
    ;(await hold(3)).release()
    expect(wiped(2)).toBe(true)
  })

  test('does not let what is held expire', async () => {
    const { cache, clock, hold, wiped } = cacheOf({ maxAgeMs: 1000 })
    const held = await hold(1)
    clock.ms += 5000
    expect(cache.peek(idOf(1))?.dataKey).toBe(held.dataKey)
    held.release()
    expect(wiped(1)).toBe(true)
    const again = await hold(2)
    clock.ms += 5000
    again.release(true)
    expect(wiped(2)).toBe(false)
  })

  test('loads again what was pushed out while others waited for it', async () => {
    const { hold, loads } = cacheOf({ maxKeys: 1 })
    const held = await Promise.all(Array.from({ length: 30 }, (_, i) => hold((i % 3) + 1)))
    for (const one of held) expect(isWiped(one.dataKey)).toBe(false)
    expect(loads()).toBeLessThanOrEqual(30)
  })

  test('forgets at once, and takes nothing more once it is closed', async () => {
    const { cache, hold, wiped } = cacheOf({})
    await hold(1)
    cache.forget(idOf(1))
    expect(wiped(1)).toBe(true)
    await hold(2)
    const late = hold(3)
    cache.close()
    expect(wiped(2)).toBe(true)
    expect(await codeOf(() => late)).toBe('bad_input')
    expect(wiped(3)).toBe(true)
  })
})

describe('data keys at hand', () => {
  test('decrypt at once after preload, and only then', async () => {
    const { keyring, store } = open()
    const users = await keyring.dataKey('users')
    const records = [users.encrypt(new Uint8Array(3), options)]
    await keyring.rotate('users')
    records.push(users.encrypt(new Uint8Array(3), options))
    const reader = open({ store }).keyring
    for (const record of records)
      expect(syncCodeOf(() => reader.decryptSync(record, options))).toBe('unavailable')
    await reader.preload(records.map(keyIdOf))
    for (const record of records) expect(reader.decryptSync(record, options)).toEqual(new Uint8Array(3))
    const handle = await reader.dataKey('users')
    for (const record of records) expect(handle.decrypt(record, options)).toEqual(new Uint8Array(3))
  })

  test('are unwrapped once for many records, and again after they expired', async () => {
    const { keyring, store, clock } = open()
    const record = (await keyring.dataKey('users')).encrypt(new Uint8Array(3), options)
    const { identity, recipient, count } = counted()
    const reader = open({
      store,
      clock,
      identities: [identity],
      recipients: [recipient],
      cache: { maxAgeMs: 1000 },
    })
    for (let i = 0; i < 5; i++) await reader.keyring.decrypt(record, options)
    expect(count.unwraps).toBe(1)
    clock.ms += 1000
    expect(syncCodeOf(() => reader.keyring.decryptSync(record, options))).toBe('unavailable')
    await reader.keyring.decrypt(record, options)
    expect(count.unwraps).toBe(2)
  })

  test('of the last data key stay at hand for a while after a rotation', async () => {
    const { keyring, clock } = open({ cache: { maxAgeMs: 1000 } })
    const users = await keyring.dataKey('users')
    const record = users.encrypt(new Uint8Array(3), options)
    clock.ms += 5000
    await keyring.rotate('users')
    expect(users.decrypt(record, options)).toEqual(new Uint8Array(3))
    clock.ms += 1000
    expect(syncCodeOf(() => users.decrypt(record, options))).toBe('unavailable')
  })

  test('are no more than the cache is for', async () => {
    const { keyring } = open({ cache: { maxKeys: 3 } })
    const ids = [1, 2, 3, 4].map((n) => dataKeyOf(n).keyId)
    expect(await codeOf(() => keyring.preload(ids))).toBe('limit_exceeded')
    expect(await codeOf(() => keyring.preload([...ids.slice(0, 3), ...ids.slice(0, 3)]))).toBe('no_data_key')
  })

  test('a thousand names with a cache for ten: each is served, and counts are given back', async () => {
    const { keyring, store } = open({ cache: { maxKeys: 10 } })
    for (let i = 0; i < 1000; i++) {
      const handle = await keyring.dataKey('person', { keyContext: { person: String(i) } })
      handle.encrypt(new Uint8Array(1), options)
    }
    await keyring.close()
    const stored = await store.all()
    expect(stored).toHaveLength(1000)
    for (const { messages } of stored) expect(messages).toBe(1)
  })

  test('a handle whose data key was pushed out says so, and gets it back', async () => {
    const { keyring } = open({ cache: { maxKeys: 1 } })
    const a = await keyring.dataKey('a')
    await keyring.dataKey('b')
    expect(a.keyId).toBeUndefined()
    expect(syncCodeOf(() => a.encrypt(new Uint8Array(1), options))).toBe('limit_exceeded')
    await a.ready()
    expect(a.encrypt(new Uint8Array(1), options).length).toBe(93)
  })
})

describe('a closed keyring', () => {
  test.each(['close', 'dispose'] as const)('refuses everything after %s', async (way) => {
    const { keyring } = open()
    const users = await keyring.dataKey('users')
    const index = await keyring.indexKey('users')
    const record = users.encrypt(new Uint8Array(3), options)
    if (way === 'close') await keyring.close()
    else keyring[Symbol.dispose]()
    expect(syncCodeOf(() => users.encrypt(new Uint8Array(3), options))).toBe('bad_input')
    expect(syncCodeOf(() => users.decrypt(record, options))).toBe('bad_input')
    expect(syncCodeOf(() => index.blindIndex({ table: 't', column: 'c', value: new Uint8Array(1) }))).toBe(
      'bad_input',
    )
    for (const call of [
      () => users.ready(),
      () => keyring.dataKey('users'),
      () => keyring.indexKey('users'),
      () => keyring.decrypt(record, options),
      () => keyring.decryptSync(record, options),
      () => keyring.preload([keyIdOf(record)]),
      () => keyring.rotate('users'),
      () => keyring.rewrap(),
      () => keyring.retire(keyIdOf(record)),
      () => keyring.destroy(keyIdOf(record)),
      () => keyring.destroyAll('users', { keyContext: {} }),
      () => keyring.dataKeys().next(),
    ]) {
      expect(await codeOf(call), String(call)).toBe('bad_input')
    }
    await keyring.close()
  })

  test('gives what was under way its end', async () => {
    const { keyring, store } = open()
    const pending = keyring.dataKey('users')
    await keyring.close()
    expect(await codeOf(async () => (await pending).encrypt(new Uint8Array(1), options))).toBe('bad_input')
    expect((await store.all()).every(({ messages }) => messages === 0)).toBe(true)
  })
})
