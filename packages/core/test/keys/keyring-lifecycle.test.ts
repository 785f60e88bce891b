import { describe, expect, test } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { LongholdError } from '../../src/errors.ts'
import { inspect, keyIdOf } from '../../src/index.ts'
import type { Identity, RewrapProgress } from '../../src/index.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { filled, flipped, identityOf } from '../samples.ts'
import { alice, bob, open, recordContext, WatchedStore } from './keyring-fixtures.ts'

const options = { recordContext }
const plaintext = new Uint8Array(3)

describe('rotate', () => {
  test('makes a new data key at once; the old one is read', async () => {
    const { keyring, store } = open()
    const users = await keyring.dataKey('users')
    const record = users.encrypt(plaintext, options)
    const keyId = await keyring.rotate('users')
    expect(users.keyId).toEqual(keyId)
    expect(keyIdOf(users.encrypt(plaintext, options))).toEqual(keyId)
    expect(await store.get(keyIdOf(record))).toMatchObject({ state: 'reading' })
    expect(users.decrypt(record, options)).toEqual(plaintext)
  })

  test('makes the first one, too, and only that name’s', async () => {
    const { keyring, store } = open()
    const a = await keyring.dataKey('users', { keyContext: { tenant: 'a' } })
    const before = a.keyId
    const keyId = await keyring.rotate('users', { keyContext: { tenant: 'b' } })
    expect(a.keyId).toEqual(before)
    expect(await store.get(keyId)).toMatchObject({ name: 'users', keyContext: [['tenant', 'b']] })
  })

  test('makes one for each call, also for calls at once and from other processes', async () => {
    const { keyring, store } = open()
    const other = open({ store }).keyring
    const ids = await Promise.all([1, 2, 3].flatMap(() => [keyring.rotate('users'), other.rotate('users')]))
    expect(new Set(ids.map(toHex)).size).toBe(6)
    expect((await store.all()).filter(({ state }) => state === 'writing')).toHaveLength(1)
  })
})

describe('retiring', () => {
  test('refuses the records of a data key until it is reinstated', async () => {
    const { keyring } = open()
    const users = await keyring.dataKey('users')
    const record = users.encrypt(plaintext, options)
    const writing = await refusalOf(() => keyring.retire(keyIdOf(record)))
    expect(writing.code).toBe('bad_input')
    expect(writing.hint).toContain('rotate')
    await keyring.rotate('users')
    await keyring.retire(keyIdOf(record))
    expect(syncCodeOf(() => users.decrypt(record, options))).toBe('unavailable')
    const error = await refusalOf(() => keyring.decrypt(record, options))
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain('retired')
    expect(await codeOf(() => keyring.retire(keyIdOf(record)))).toBe('bad_input')
    await keyring.reinstate(keyIdOf(record))
    expect(await keyring.decrypt(record, options)).toEqual(plaintext)
    expect(await codeOf(() => keyring.reinstate(keyIdOf(record)))).toBe('bad_input')
    expect(await codeOf(() => keyring.retire(filled(1, 16)))).toBe('bad_input')
  })
})

describe('destroying', () => {
  test('takes a data key from those who hold it, for ever', async () => {
    const { keyring, store } = open()
    const users = await keyring.dataKey('users')
    const record = users.encrypt(plaintext, options)
    expect(await keyring.destroy(keyIdOf(record))).toBe(true)
    expect(await codeOf(() => keyring.decrypt(record, options))).toBe('destroyed')
    expect(syncCodeOf(() => users.decrypt(record, options))).toBe('unavailable')
    expect(syncCodeOf(() => users.encrypt(plaintext, options))).toBe('limit_exceeded')
    expect(await codeOf(() => open({ store }).keyring.decrypt(record, options))).toBe('destroyed')
    await users.ready()
    expect(keyIdOf(users.encrypt(plaintext, options))).not.toEqual(keyIdOf(record))
    expect(await keyring.destroy(keyIdOf(record))).toBe(false)
    expect(await keyring.destroy(filled(9, 16))).toBe(false)
  })

  test('one person leaves the others', async () => {
    const { keyring, store } = open()
    const of = (person: string) => ({ keyContext: { person } })
    const ada = await keyring.dataKey('person', of('ada'))
    const bert = await keyring.dataKey('person', of('bert'))
    const records = [ada.encrypt(plaintext, options)]
    await keyring.rotate('person', of('ada'))
    records.push(ada.encrypt(plaintext, options))
    await keyring.indexKey('person', of('ada'))
    const berts = bert.encrypt(plaintext, options)
    expect(await keyring.destroyAll('person', of('ada'))).toBe(3)
    for (const record of records)
      expect(await codeOf(() => keyring.decrypt(record, options))).toBe('destroyed')
    expect(bert.decrypt(berts, options)).toEqual(plaintext)
    expect((await store.all()).map(({ keyContext }) => keyContext)).toEqual([[['person', 'bert']]])
    expect(await keyring.destroyAll('person', of('ada'))).toBe(0)
  })

  test('a key that was about to be written under is not', async () => {
    const { keyring, store } = open()
    const first = await keyring.dataKey('users')
    const keyId = first.keyId ?? new Uint8Array()
    const second = open({ store })
    // Between the reservation of a portion and its use, the same keyring destroys the key.
    let destroyed = 0
    store.after.set('reserve', async () => {
      if (destroyed++ === 0) await second.keyring.destroy(keyId)
    })
    const handle = await second.keyring.dataKey('users')
    expect(destroyed).toBeGreaterThan(0)
    expect(handle.keyId).not.toEqual(keyId)
  })
})

describe('rewrap', () => {
  const ids = (wrappedKey: Uint8Array) => inspect(wrappedKey).stanzas.map(({ recipientId }) => recipientId)
  const [aliceId, bobId] = [alice, bob].map(({ recipientId }) => toHex(recipientId))

  /** A store of that many names, each with one data key, and a record under each. */
  async function filledStore(count: number, recipients = [alice.recipient]) {
    const opened = open({ recipients })
    const records: Uint8Array[] = []
    for (let i = 0; i < count; i++) {
      const handle = await opened.keyring.dataKey('users', { keyContext: { n: String(i) } })
      records.push(handle.encrypt(plaintext, options))
    }
    return { ...opened, records }
  }

  test('wraps every data key for the new recipients; records stay as they are', async () => {
    const { keyring, store, records } = await filledStore(3)
    const both = [alice.recipient, bob.recipient]
    const progress = await keyring.rewrap({ recipients: both })
    expect(progress).toMatchObject({ rewrapped: 3, unchanged: 0, failed: [] })
    for (const { wrappedKey, state } of await store.all()) {
      expect(ids(wrappedKey)).toEqual([aliceId, bobId])
      expect(state).toBe('writing') // nobody lost access
    }
    const bobs = open({ store, identities: [bob], recipients: [bob.recipient] }).keyring
    for (const record of records) expect(await bobs.decrypt(record, options)).toEqual(plaintext)
  })

  test('does nothing the second time', async () => {
    const { keyring, store } = await filledStore(3)
    await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    const before = await store.all()
    const again = await keyring.rewrap({ recipients: [bob.recipient, alice.recipient] })
    expect(again).toMatchObject({ rewrapped: 0, unchanged: 3 })
    expect(await store.all()).toEqual(before)
  })

  test('to fewer recipients ends writing, in this keyring at once', async () => {
    const { keyring, store } = await filledStore(2, [alice.recipient, bob.recipient])
    const handle = await keyring.dataKey('users', { keyContext: { n: '0' } })
    const before = handle.keyId
    await keyring.rewrap({ recipients: [alice.recipient] })
    for (const { state } of await store.all()) expect(state).toBe('reading')
    expect(syncCodeOf(() => handle.encrypt(plaintext, options))).toBe('limit_exceeded')
    await handle.ready()
    expect(handle.keyId).not.toEqual(before)
  })

  test('of a key that is being taken at that moment: nothing is written under it', async () => {
    const { store } = await filledStore(1, [alice.recipient, bob.recipient])
    const { keyring } = open({ store, recipients: [alice.recipient, bob.recipient] })
    let rewrapping: Promise<unknown> | undefined
    store.after.set('reserve', async () => {
      rewrapping ??= keyring.rewrap({ recipients: [alice.recipient] })
      await rewrapping
    })
    const handle = await keyring.dataKey('users', { keyContext: { n: '0' } })
    const [stored] = (await store.all()).filter(
      ({ keyId }) => toHex(keyId) === toHex(handle.keyId ?? new Uint8Array()),
    )
    expect(stored?.state).toBe('writing')
  })

  test('is for data keys made later too', async () => {
    const { keyring, store } = await filledStore(1)
    await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    await keyring.dataKey('users', { keyContext: { n: 'later' } })
    await keyring.rotate('users', { keyContext: { n: '0' } })
    await keyring.indexKey('users')
    for (const { wrappedKey } of await store.all()) expect(ids(wrappedKey)).toEqual([aliceId, bobId])
    // And they need not be named again.
    expect(await keyring.rewrap()).toMatchObject({ rewrapped: 0, unchanged: 4 })
  })

  test('is for data keys made later too when the store fails halfway', async () => {
    const { keyring, store } = await filledStore(1)
    store.failing.set('page', new LongholdError('unavailable', 'down'))
    const recipients = [alice.recipient, bob.recipient]
    expect(await codeOf(() => keyring.rewrap({ recipients }))).toBe('unavailable')
    store.failing.clear()
    await keyring.dataKey('users', { keyContext: { n: 'later' } })
    const later = (await store.all()).find(({ keyContext: [pair] }) => pair?.[1] === 'later')
    expect(ids(later?.wrappedKey ?? new Uint8Array())).toEqual([aliceId, bobId])
  })

  test('that takes our own access away ends writing with an error, not with the former recipients', async () => {
    const { keyring, store } = await filledStore(1)
    await keyring.rewrap({ recipients: [bob.recipient] })
    expect(await codeOf(() => keyring.dataKey('users'))).toBe('not_a_recipient')
    expect((await store.all()).map(({ wrappedKey }) => ids(wrappedKey))).toEqual([[bobId]])
  })

  test('refuses what is no list of recipients, and keeps those it has', async () => {
    const { keyring, store } = await filledStore(1)
    for (const recipients of [[], [alice.recipient, alice.recipient]])
      expect(await codeOf(() => keyring.rewrap({ recipients }))).toBe('bad_input')
    await keyring.dataKey('users')
    for (const { wrappedKey } of await store.all()) expect(ids(wrappedKey)).toEqual([aliceId])
  })

  test('while a data key is being made: it is not written under for the former recipients', async () => {
    const store = new WatchedStore()
    const { keyring } = open({ store, recipients: [alice.recipient, bob.recipient] })
    let rewrapping: Promise<unknown> | undefined
    store.before.set('insertWriting', async () => {
      // It reads the store before the new data key is there.
      rewrapping ??= keyring.rewrap({ recipients: [alice.recipient] })
      await rewrapping
    })
    const handle = await keyring.dataKey('users')
    const stored = await store.get(handle.keyId ?? new Uint8Array())
    if (stored?.state !== 'writing') throw new Error('it is being written under')
    expect(ids(stored.wrappedKey)).toEqual([aliceId])
    expect((await store.all()).map(({ state }) => state).toSorted()).toEqual(['reading', 'writing'])
  })

  test('covers retired keys, which somebody could still open', async () => {
    const { keyring, store, records } = await filledStore(1)
    const keyId = keyIdOf(records[0] ?? new Uint8Array())
    await keyring.rotate('users', { keyContext: { n: '0' } })
    await keyring.retire(keyId)
    await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    const stored = await store.get(keyId)
    expect(stored).toMatchObject({ state: 'retired' })
    expect(
      ids(stored !== undefined && 'wrappedKey' in stored ? stored.wrappedKey : new Uint8Array()),
    ).toEqual([aliceId, bobId])
  })

  test('tells its progress page by page, and goes on behind a key id', async () => {
    const { keyring, store } = await filledStore(120)
    const seen: RewrapProgress[] = []
    const recipients = [bob.recipient, alice.recipient]
    let pages = 0
    store.before.set('page', () => {
      if (++pages === 3) throw new LongholdError('unavailable', 'down')
    })
    expect(
      await codeOf(() => keyring.rewrap({ recipients, onProgress: (progress) => void seen.push(progress) })),
    ).toBe('unavailable')
    expect(seen.map(({ rewrapped }) => rewrapped)).toEqual([50, 100])
    store.before.clear()
    const after = seen.at(-1)?.after ?? new Uint8Array()
    expect(await keyring.rewrap({ recipients, after })).toMatchObject({ rewrapped: 20, unchanged: 0 })
    for (const { wrappedKey } of await store.all()) expect(ids(wrappedKey)).toEqual([bobId, aliceId])
  })

  test('of a key that somebody else rewraps meanwhile looks at it again', async () => {
    const { keyring, store } = await filledStore(1)
    const other = open({ store }).keyring
    let others = 0
    store.before.set('replaceWrappedKeys', async () => {
      if (others++ === 0) await other.rewrap({ recipients: [alice.recipient, identityOf(3).recipient] })
    })
    const progress = await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    expect(progress).toMatchObject({ rewrapped: 1, failed: [] })
    expect(ids((await store.all())[0]?.wrappedKey ?? new Uint8Array())).toEqual([aliceId, bobId])
  })

  test('takes one step of the store for fifty data keys', async () => {
    const { keyring, store } = await filledStore(120)
    await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    expect(store.asked['replaceWrappedKeys']).toBe(3)
  })

  test('stores what it could open of a page before it tells that the holder of a key could not be asked', async () => {
    const { store } = await filledStore(5)
    let asked = 0
    const identity: Identity = {
      owns: (kemId, recipientId) => alice.owns(kemId, recipientId),
      async unwrap(stanza, bound) {
        if (asked++ === 2) throw new LongholdError('unavailable', 'down')
        return await alice.unwrap(stanza, bound)
      },
    }
    const { keyring } = open({ store, identities: [identity] })
    const recipients = [alice.recipient, bob.recipient]
    expect(await codeOf(() => keyring.rewrap({ recipients }))).toBe('unavailable')
    expect((await store.all()).filter(({ wrappedKey }) => ids(wrappedKey).length === 2)).toHaveLength(4)
    expect(await keyring.rewrap({ recipients })).toMatchObject({ rewrapped: 1, unchanged: 4 })
  })

  test('gives up on a key that others keep rewrapping, and says which', async () => {
    const { keyring, store } = await filledStore(3)
    const other = open({ store }).keyring
    let others = 0
    store.before.set('replaceWrappedKeys', async () => {
      if (others++ % 2 === 0)
        await other.rewrap({ recipients: [alice.recipient, identityOf(10 + others).recipient] })
    })
    const refusal = await refusalOf(() => keyring.rewrap({ recipients: [alice.recipient, bob.recipient] }))
    expect(refusal).toMatchObject({ code: 'unavailable', hint: expect.stringContaining('after') })
    for (const { keyId } of await store.all()) expect(refusal.message).toContain(toHex(keyId))
  })

  test('of a key that is destroyed meanwhile leaves it destroyed', async () => {
    const { keyring, store } = await filledStore(1)
    store.before.set('replaceWrappedKeys', async () => {
      for (const { keyId } of await store.all()) await store.destroy(keyId)
    })
    expect(await keyring.rewrap({ recipients: [bob.recipient] })).toMatchObject({ rewrapped: 0, failed: [] })
    expect(await store.all()).toEqual([])
  })

  test('reports what it cannot open, and does the others', async () => {
    const { keyring, store } = await filledStore(3)
    await open({ store, identities: [bob], recipients: [bob.recipient] }).keyring.dataKey('bobs')
    const altered = (await store.all()).find(({ name }) => name === 'users')
    if (altered === undefined) throw new Error('an empty store')
    const { keyId: its, wrappedKey: expected } = altered
    const replacement = flipped(expected, 8 * expected.length - 1)
    await store.replaceWrappedKeys([{ keyId: its, expected, replacement, stopWriting: false }])
    const progress = await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    expect(progress.rewrapped).toBe(2)
    expect(progress.failed.map(({ code }) => code).toSorted()).toEqual(['cannot_open', 'not_a_recipient'])
    expect(progress.failed.map(({ keyId }) => keyId)).toContainEqual(altered.keyId)
  })
})

test('dataKeys tells of every data key in order, but not of destroyed ones', async () => {
  const store = new WatchedStore()
  const { keyring } = open({ store })
  for (let i = 0; i < 150; i++) await keyring.rotate('users')
  const [first] = await store.all()
  await keyring.destroy(first?.keyId ?? new Uint8Array())
  const seen: string[] = []
  for await (const { keyId } of keyring.dataKeys()) seen.push(toHex(keyId))
  expect(seen).toEqual((await store.all()).map(({ keyId }) => toHex(keyId)))
  expect(seen).toHaveLength(149)
  const behind: string[] = []
  const after = (await store.all())[99]?.keyId ?? new Uint8Array()
  for await (const { keyId } of keyring.dataKeys({ after })) behind.push(toHex(keyId))
  expect(behind).toEqual(seen.slice(100))
})
