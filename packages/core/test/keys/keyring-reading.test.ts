/** Reading makes, replaces and counts nothing: through a handle, and in a keyring that only reads. */

import { describe, expect, test } from 'vitest'

import { keyIdOf, makeKeyringKey, openKeyring, parseKeyringKey, vouchFor } from '../../src/index.ts'
import { MemoryKeyStore } from '../../src/stores/memory.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { patterned } from '../samples.ts'
import { alice, bob, Clock, open, recordContext, WatchedStore } from './keyring-fixtures.ts'

const plaintext = patterned(100)
const options = { recordContext }
const changes = ['insertWriting', 'reserve', 'release', 'move', 'replaceWrappedKeys', 'setTag', 'destroy']

/** Names of the changes that were asked for since. */
function watch(store: WatchedStore): () => string[] {
  const before = { ...store.asked }
  return () => changes.filter((name) => store.asked[name] !== before[name])
}

describe('a handle', () => {
  test('is there at once, and nothing is asked for it', () => {
    const { keyring, store } = open()
    const handle = keyring.handle('users', { keyContext: { tenant: 'a' } })
    expect(handle.name).toBe('users')
    expect(handle.keyContext).toEqual([['tenant', 'a']])
    expect(handle.keyId).toBeUndefined()
    expect(store.asked).toEqual({})
    expect(syncCodeOf(() => keyring.handle(''))).toBe('bad_input')
  })

  test('decrypts without making, replacing or counting anything, however old the data key is', async () => {
    const store = new WatchedStore()
    const clock = new Clock()
    const writer = open({ store, clock })
    const users = await writer.keyring.dataKey('users')
    const record = users.encrypt(plaintext, options)
    const typed = users.encryptValue({ type: 'number', value: 1 }, options)
    await writer.keyring.close()
    clock.ms += 400 * 24 * 60 * 60 * 1000

    const { keyring } = open({ store, clock })
    const changed = watch(store)
    const handle = keyring.handle('users')
    expect(syncCodeOf(() => handle.decrypt(record, options))).toBe('unavailable')
    await keyring.preload([keyIdOf(record)])
    expect(handle.decrypt(record, options)).toEqual(plaintext)
    expect(handle.decryptValue(typed, options)).toEqual({ type: 'number', value: 1 })
    await keyring.close()
    expect(changed()).toEqual([])
  })

  test('writes once it is ready', async () => {
    const { keyring } = open()
    const handle = keyring.handle('users')
    expect(syncCodeOf(() => handle.encrypt(plaintext, options))).toBe('limit_exceeded')
    await handle.ready()
    expect(handle.decrypt(handle.encrypt(plaintext, options), options)).toEqual(plaintext)
    expect(handle.keyId).toEqual((await keyring.dataKey('users')).keyId)
  })

  test('of a closed keyring is refused', async () => {
    const { keyring } = open()
    await keyring.close()
    expect(syncCodeOf(() => keyring.handle('users'))).toBe('bad_input')
  })
})

describe('a keyring without recipients', () => {
  async function reading() {
    const { keyring: writer, store } = open()
    const users = await writer.dataKey('users')
    await writer.indexKey('users')
    const record = users.encrypt(plaintext, options)
    await writer.rotate('users')
    const keyring = openKeyring({ identities: [alice], store })
    return { keyring, store, record, keyId: keyIdOf(record) }
  }

  test('reads, and finds index keys', async () => {
    const { keyring, store, record } = await reading()
    const changed = watch(store)
    expect(await keyring.decrypt(record, options)).toEqual(plaintext)
    expect(keyring.handle('users').decrypt(record, options)).toEqual(plaintext)
    const value = Uint8Array.of(1)
    using index = await keyring.indexKey('users')
    using same = await open({ store }).keyring.indexKey('users')
    const place = { table: 't', column: 'c', value }
    expect(index.blindIndex(place)).toEqual(same.blindIndex(place))
    let count = 0
    for await (const { state } of keyring.dataKeys()) count += Number(state !== 'retired')
    expect(count).toBe(3)
    await keyring.close()
    expect(changed()).toEqual([])
  })

  test('refuses whatever would change the store', async () => {
    const { keyring, store, keyId } = await reading()
    const changed = watch(store)
    const attempts = [
      () => keyring.dataKey('users'),
      () => keyring.handle('users').ready(),
      async () => keyring.handle('users').encrypt(plaintext, options),
      () => keyring.indexKey('other'),
      () => keyring.rotate('users'),
      () => keyring.rewrap(),
      () => keyring.rewrap({ recipients: [bob.recipient] }),
      () => keyring.retire(keyId),
      () => keyring.reinstate(keyId),
      () => keyring.destroy(keyId),
      () => keyring.destroyAll('users', { keyContext: {} }),
      () => makeKeyringKey({ identities: [alice], store }),
      () => vouchFor([keyId], { identities: [alice], store, keyringKey: parseKeyringKey('A'.repeat(64)) }),
    ]
    for (const attempt of attempts) {
      const refusal = await refusalOf(attempt)
      expect([refusal.code, refusal.message]).toEqual(['bad_input', 'this keyring only reads'])
    }
    expect(changed()).toEqual([])
  })

  test('is one that was said so: an empty list is an error', async () => {
    const store = new MemoryKeyStore()
    expect(syncCodeOf(() => openKeyring({ identities: [alice], recipients: [], store }))).toBe('bad_input')
    expect(await codeOf(async () => openKeyring({ identities: [], store }))).toBe('bad_input')
  })
})
