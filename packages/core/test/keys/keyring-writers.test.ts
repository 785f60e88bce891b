import { expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { partsFrom } from '../../src/keys/keyring-options.ts'
import { Writers } from '../../src/keys/keyring-writers.ts'
import { alice, open, WatchedStore } from './keyring-fixtures.ts'

function start({ maxKeys = 5 } = {}) {
  const store = new WatchedStore()
  const options = { identities: [alice], recipients: [alice.recipient], store, cache: { maxKeys } }
  const parts = partsFrom(options, Date.now)
  return { store, parts, writers: new Writers(parts) }
}

const owner = (n: number) => ({ name: `n${n}`, keyContext: [] })
const one = { messages: 1, bytes: 0 }

test('a key id that was left is forgotten once nobody can take it up any more', async () => {
  const { store, parts, writers } = start()
  for (let n = 0; n < 100; n++) writers.leave(String(n))()
  expect(parts.left.size).toBe(0)

  const writer = writers.of(owner(1))
  const ready = writer.whenReady(one, () => undefined)
  const hasLeft = writers.leave('moved while somebody was at work')
  hasLeft()
  expect(parts.left.size).toBe(1)
  await ready
  await writer.idle()
  expect(parts.left.size).toBe(0)
  expect(store.asked['insertWriting']).toBe(1)
})

test('and not while the store is still moving it', async () => {
  const { parts, writers } = start()
  const writer = writers.of(owner(1))
  await writer.whenReady(one, () => undefined)
  const id = toHex(writer.keyId ?? new Uint8Array())
  const hasLeft = writers.leave(id)
  expect(writer.keyId).toBeUndefined()
  // It is still writing in the store, so this finds it, and takes another.
  const again = writer.whenReady(one, () => toHex(writer.keyId ?? new Uint8Array()))
  await parts.store.move(
    (await parts.store.page({ limit: 1 }))[0]?.keyId ?? new Uint8Array(),
    'writing',
    'reading',
  )
  expect(await again).not.toBe(id)
  hasLeft()
  expect(parts.left.size).toBe(0)
})

test('all that is reserved is given back in one step of the store', async () => {
  const { keyring, store } = open()
  for (let n = 0; n < 50; n++)
    (await keyring.dataKey(`n${n}`)).encrypt(new Uint8Array(3), { recordContext: {} })
  await keyring.close()
  expect(store.asked['release']).toBe(1)
  for (const { messages, bytes } of await store.all()) expect([messages, bytes]).toEqual([1, 3])
})

test('a store that is down does not keep a keyring from closing', async () => {
  const { keyring, store } = open()
  await keyring.dataKey('users')
  store.failing.set('release', new Error('down'))
  await keyring.close()
  expect(store.asked['release']).toBe(1)
})

test('the least recently used give way, and what they had reserved goes back', async () => {
  const { store, writers } = start({ maxKeys: 2 })
  for (const n of [1, 2, 1, 3]) await writers.of(owner(n)).whenReady(one, () => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  const counts = (await store.all()).map(({ name, messages }) => [name, messages > 0])
  expect(Object.fromEntries(counts)).toEqual({ n1: true, n2: false, n3: true })
})
