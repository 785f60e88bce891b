/** Data keys that somebody else put into the store (SPEC §12.1). */

import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { concat, fromBase64url, lp16, toBase64url, toHex, utf8 } from '../../src/bytes.ts'
import { canonicalize } from '../../src/format/context.ts'
import {
  DataKey,
  keyIdOf,
  makeKeyringKey,
  openKeyringKey,
  openKeyring,
  parseKeyringKey,
  unwrapDataKey,
  vouchFor,
  wrapDataKey,
} from '../../src/index.ts'
import type { KeyringOptions, StoredDataKey } from '../../src/index.ts'
import { partsFrom } from '../../src/keys/keyring-options.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { filled, flipped, patterned } from '../samples.ts'
import { alice, bob, Clock, open, recordContext, WatchedStore } from './keyring-fixtures.ts'

const plaintext = patterned(100)
const options = { recordContext }
const owner = { name: 'users', keyContext: canonicalize({ tenant: 'a' }).pairs }
const keyContext = { tenant: 'a' }
const tag = new Uint8Array(32).fill(1)

/** What somebody does who may write to the store and knows Alice's public key: nothing else is used here. */
async function plant(store: WatchedStore, more: Partial<StoredDataKey> = {}): Promise<DataKey> {
  const dataKey = DataKey.generate()
  const about = { ...owner, createdAt: new Date(Date.UTC(2026, 10, 25)), ...more }
  const wrappedKey = await wrapDataKey(dataKey, {
    recipients: [alice.recipient],
    keyContext: about.keyContext,
  })
  const before = await store.findWriting(about)
  const use = { messages: 0, bytes: 0 }
  await store.insertWriting({ ...use, ...about, keyId: dataKey.keyId, wrappedKey }, before?.keyId)
  return dataKey
}

const alices = (store: WatchedStore) => ({ identities: [alice], recipients: [alice.recipient], store })

async function vouching(more: Omit<Partial<KeyringOptions>, 'store'> = {}) {
  const store = new WatchedStore()
  const clock = new Clock()
  const reference = await makeKeyringKey({ ...alices(store), ...more })
  const keyringKey = parseKeyringKey(reference)
  const another = (extra: Partial<KeyringOptions> & { store?: WatchedStore } = {}) =>
    open({ store, clock, keyringKey, ...more, ...extra }).keyring
  return { store, clock, reference, keyringKey, keyring: another(), another }
}

describe('a planted data key', () => {
  test('is what a keyring without a keyring key writes under', async () => {
    const { keyring, store } = open()
    const planted = await plant(store)
    const record = (await keyring.dataKey('users', { keyContext })).encrypt(plaintext, options)
    expect(planted.decrypt(record, options)).toEqual(plaintext)
  })

  test.each([
    ['before there was any', undefined],
    ['with a tag made up', { tag }],
    ['with a time to come', { createdAt: new Date(Date.UTC(2100, 0)) }],
  ])('is not written under: %s', async (_, more) => {
    const { keyring, store } = await vouching()
    const planted = await plant(store, more)
    const handle = await keyring.dataKey('users', { keyContext })
    expect(handle.keyId).not.toEqual(planted.keyId)
    const record = handle.encrypt(plaintext, options)
    expect(syncCodeOf(() => planted.decrypt(record, options))).toBe('cannot_open')
    expect(await store.get(planted.keyId)).toMatchObject({ state: 'reading' })
  })

  test('is not written under in place of a data key there was', async () => {
    const { keyring, store, another } = await vouching()
    const ours = (await keyring.dataKey('users', { keyContext })).keyId ?? new Uint8Array()
    // Another data key's tag is no help, nor is another row's for this key.
    const stored = await store.get(ours)
    const planted = await plant(store, { tag: stored && 'tag' in stored ? stored.tag : undefined })
    const handle = await another().dataKey('users', { keyContext })
    expect(handle.keyId).not.toEqual(planted.keyId)
    expect(await codeOf(() => another().preload([planted.keyId]))).toBe('no_data_key')
  })

  test('gives no records to be read either, unless that was asked for', async () => {
    const { keyring, store, another } = await vouching()
    const planted = await plant(store)
    const forged = planted.encrypt(plaintext, options)
    const refusal = await refusalOf(() => keyring.decrypt(forged, options))
    expect(refusal.code).toBe('no_data_key')
    expect(refusal.message).toContain('the keyring key does not vouch for data key')
    expect(refusal.hint).toContain('vouchFor')
    expect(syncCodeOf(() => keyring.decryptSync(forged, options))).toBe('unavailable')

    const lenient = another({ policy: { readUnvouched: true } })
    expect(await lenient.decrypt(forged, options)).toEqual(plaintext)
    // At hand by now, and not written under all the same.
    const handle = await lenient.dataKey('users', { keyContext })
    expect(handle.keyId).not.toEqual(planted.keyId)
  })

  test('is not what blind indexes are made with, however old it says it is', async () => {
    const { keyring, store, another } = await vouching()
    const indexOwner = { ...owner, name: 'blind-index:users' }
    const first = await plant(store, indexOwner)
    const place = { table: 't', column: 'c', value: plaintext }
    const made = (await keyring.indexKey('users', { keyContext })).blindIndex(place)
    const { BlindIndexKey } = await import('../../src/keys/keyring-index.ts')
    const held = { owner: '', keyContext: '', isVouched: true, release: () => undefined }
    expect(made).not.toEqual(new BlindIndexKey({ ...held, dataKey: first }).blindIndex(place))
    await plant(store, { ...indexOwner, createdAt: new Date(0) })
    expect((await another().indexKey('users', { keyContext })).blindIndex(place)).toEqual(made)
    const lenient = another({ policy: { readUnvouched: true } })
    expect((await lenient.indexKey('users', { keyContext })).blindIndex(place)).toEqual(made)
  })
})

describe('a data key of ours', () => {
  test('is shared by keyrings with the same keyring key', async () => {
    const { keyring, another, store } = await vouching()
    const handle = await keyring.dataKey('users', { keyContext })
    const record = handle.encrypt(plaintext, options)
    const other = await another().dataKey('users', { keyContext })
    expect(other.keyId).toEqual(handle.keyId)
    expect(await another().decrypt(record, options)).toEqual(plaintext)
    const reading = openKeyring({ identities: [alice], store, keyringKey: (await vouching()).keyringKey })
    expect(await codeOf(() => reading.decrypt(record, options))).toBe('no_data_key')
  })

  const change: [string, (stored: StoredDataKey) => Partial<StoredDataKey>][] = [
    ['another name', () => ({ name: 'public' })],
    ['a later time', ({ createdAt }) => ({ createdAt: new Date(createdAt.getTime() + 1) })],
    ['a bit of its tag', ({ tag: given }) => ({ tag: flipped(given ?? tag, 7) })],
    ['no tag', () => ({ tag: undefined })],
  ]
  test.each(change)('with %s is not one any more', async (_, changed) => {
    const { keyring, store, another } = await vouching()
    const record = (await keyring.dataKey('users', { keyContext })).encrypt(plaintext, options)
    const stored = await store.get(keyIdOf(record))
    if (stored === undefined || stored.state === 'destroyed') throw new Error('it was just made')
    const altered = new WatchedStore()
    const there = await store.page({ limit: 10 })
    for (const one of there) if (one.name === 'keyring-key') await altered.insertWriting(one, undefined)
    await altered.insertWriting(stored, undefined)
    expect(await another({ store: altered }).decrypt(record, options)).toEqual(plaintext)
    Object.assign(altered, {
      get: async (keyId: Uint8Array) =>
        keyId[0] === stored.keyId[0] ? { ...stored, ...changed(stored) } : await store.get(keyId),
    })
    expect(await codeOf(() => another({ store: altered }).decrypt(record, options))).toBe('no_data_key')
  })

  test('stays one when it is rewrapped, retired and reinstated', async () => {
    const { keyring, another } = await vouching()
    const record = (await keyring.dataKey('users', { keyContext })).encrypt(plaintext, options)
    await keyring.rewrap({ recipients: [alice.recipient, bob.recipient] })
    await keyring.rotate('users', { keyContext })
    await keyring.retire(keyIdOf(record))
    await keyring.reinstate(keyIdOf(record))
    const bobs = another({ identities: [bob], recipients: [bob.recipient] })
    expect(await bobs.decrypt(record, options)).toEqual(plaintext)
  })

  test('from before may be vouched for', async () => {
    const store = new WatchedStore()
    const before = open({ store }).keyring
    const record = (await before.dataKey('users', { keyContext })).encrypt(plaintext, options)
    const keyringKey = parseKeyringKey(await makeKeyringKey(alices(store)))
    expect(await codeOf(() => vouchFor([keyIdOf(record)], alices(store)))).toBe('bad_input')
    const { keyring } = open({ store, keyringKey })
    expect(await codeOf(() => keyring.decrypt(record, options))).toBe('no_data_key')
    await vouchFor([keyIdOf(record)], { ...alices(store), keyringKey })
    expect(await keyring.decrypt(record, options)).toEqual(plaintext)
    expect((await keyring.dataKey('users', { keyContext })).keyId).toEqual(keyIdOf(record))
    expect(await codeOf(() => vouchFor([new Uint8Array(16)], { ...alices(store), keyringKey }))).toBe(
      'no_data_key',
    )
    expect(await codeOf(() => vouchFor([new Uint8Array(15)], { ...alices(store), keyringKey }))).toBe(
      'bad_input',
    )
  })
})

describe('the keyring key', () => {
  test('makes the tag that SPEC §12.1 describes', async () => {
    const { store, reference, keyring } = await vouching()
    const keyId = (await keyring.dataKey('users', { keyContext })).keyId ?? new Uint8Array()
    const bytes = fromBase64url(reference) ?? new Uint8Array()
    const opened = async (id: Uint8Array, context: Record<string, string>) => {
      const stored = await store.get(id)
      if (stored === undefined || stored.state === 'destroyed') throw new Error('it is there')
      using dataKey = await unwrapDataKey(stored.wrappedKey, { identities: [alice], keyContext: context })
      return { stored, secret: dataKey.use((raw) => Buffer.from(raw)) }
    }
    const expand = (key: Uint8Array, info: string) =>
      createHmac('sha512', key).update(info).update(Uint8Array.of(1)).digest().subarray(0, 32)
    const root = await opened(bytes.subarray(0, 16), {})
    expect(Buffer.from(bytes.subarray(16))).toEqual(expand(root.secret, 'longhold/v1/mark'))
    expect(root.stored).toMatchObject({ name: 'keyring-key', keyContext: [], messages: 0 })
    const { stored, secret } = await opened(keyId, keyContext)
    const at = Buffer.alloc(8)
    at.writeBigUInt64BE(BigInt(stored.createdAt.getTime()))
    const message = concat(
      utf8('longhold/v1/vouch\0'),
      keyId,
      expand(secret, 'longhold/v1/mark'),
      at,
      lp16(utf8('users')),
      canonicalize(keyContext).bytes,
    )
    const expected = createHmac('sha256', expand(root.secret, 'longhold/v1/vouch')).update(message).digest()
    expect(Buffer.from(stored.tag ?? [])).toEqual(expected)
  })

  test('makes what SPEC §12.1 shows', async () => {
    const spec = readFileSync(join(import.meta.dirname, '../../SPEC.md'), 'utf8')
    const shown = (name: string) => new RegExp(`^${name} +([\\w-]+)$`, 'm').exec(spec)?.[1] ?? ''
    const store = new WatchedStore()
    const root = DataKey.from(filled(1))
    const wrappedKey = await wrapDataKey(root, { recipients: [alice.recipient] })
    const about = { name: 'keyring-key', keyContext: [], createdAt: new Date(0), messages: 0, bytes: 0 }
    await store.insertWriting({ ...about, keyId: root.keyId, wrappedKey }, undefined)
    const parts = partsFrom({ identities: [alice], store }, Date.now)
    const voucher = parseKeyringKey(shown('reference')).open(parts)
    const vouched = { name: 'users', keyContext: owner.keyContext, createdAt: new Date('2026-11-25') }
    expect(toHex(await voucher.tagOf(DataKey.from(filled(2)), vouched))).toBe(shown('tag'))
    using opened = await openKeyringKey(parseKeyringKey(shown('reference')), wrappedKey, {
      identities: [alice],
    })
    expect(toHex(opened.tagOf(DataKey.from(filled(2)), vouched))).toBe(shown('tag'))
  })

  test('can be opened by a program that stores data keys without a keyring', async () => {
    const { keyring, store, keyringKey } = await vouching()
    const stored = await store.get(keyringKey.keyId)
    if (stored === undefined || !('wrappedKey' in stored)) throw new Error('it was made')
    const opened = await openKeyringKey(keyringKey, stored.wrappedKey, { identities: [bob, alice] })
    const dataKey = DataKey.generate()
    const createdAt = new Date(Date.UTC(2026, 10, 25, 1, 2, 3, 4))
    await store.insertWriting(
      {
        ...owner,
        keyId: dataKey.keyId,
        wrappedKey: await wrapDataKey(dataKey, { recipients: [alice.recipient], keyContext }),
        createdAt,
        messages: 0,
        bytes: 0,
        tag: opened.tagOf(dataKey, { name: 'users', keyContext, createdAt }),
      },
      undefined,
    )
    const record = dataKey.encrypt(plaintext, options)
    expect(await keyring.decrypt(record, options)).toEqual(plaintext)
    expect((await keyring.dataKey('users', { keyContext })).keyId).toEqual(dataKey.keyId)
    opened.wipe()
    expect(syncCodeOf(() => opened.tagOf(dataKey, { name: 'users', keyContext, createdAt }))).toBe(
      'bad_input',
    )
  })

  test('is not opened by another reference, identity or wrapped key', async () => {
    const { store, keyringKey, reference } = await vouching()
    const bytes = fromBase64url(reference) ?? new Uint8Array()
    const stored = await store.get(keyringKey.keyId)
    if (stored === undefined || !('wrappedKey' in stored)) throw new Error('it was made')
    const { wrappedKey } = stored
    const identities = [alice]
    const codes = await Promise.all(
      [0, 8 * 20].map((bit) => {
        const other = parseKeyringKey(toBase64url(flipped(bytes, bit)))
        return codeOf(() => openKeyringKey(other, wrappedKey, { identities }))
      }),
    )
    expect(codes).toEqual(['cannot_open', 'cannot_open'])
    expect(await codeOf(() => openKeyringKey(keyringKey, wrappedKey, { identities: [bob] }))).toBe(
      'not_a_recipient',
    )
    expect(await codeOf(() => openKeyringKey(keyringKey, wrappedKey.subarray(1), { identities }))).toBe(
      'malformed',
    )
  })

  test('is asked for once, and again after it could not be', async () => {
    const { store, another } = await vouching()
    const keyring = another()
    store.failing.set('get', new Error('down'))
    await expect(keyring.dataKey('users')).rejects.toThrow('down')
    store.failing.clear()
    const before = store.asked['get'] ?? 0
    await Promise.all(['users', 'files', 'notes'].map((name) => keyring.dataKey(name)))
    expect((store.asked['get'] ?? 0) - before).toBe(1)
  })

  test('cannot be planted: the reference says which it is', async () => {
    const { store, reference, another } = await vouching()
    const bytes = fromBase64url(reference) ?? new Uint8Array()
    const altered = parseKeyringKey(toBase64url(flipped(bytes, 8 * 20)))
    expect(await codeOf(() => another({ keyringKey: altered }).dataKey('users'))).toBe('cannot_open')
    const unknown = parseKeyringKey(toBase64url(flipped(bytes, 0)))
    expect(await codeOf(() => another({ keyringKey: unknown }).dataKey('users'))).toBe('no_data_key')
    // The row of another keyring key under the id of ours.
    const other = await makeKeyringKey(alices(store))
    const theirs = await store.get((fromBase64url(other) ?? bytes).subarray(0, 16))
    const swapped = new WatchedStore()
    Object.assign(swapped, { get: async () => theirs })
    expect(await codeOf(() => another({ store: swapped }).dataKey('users'))).toBe('cannot_open')
  })

  test('may have a successor, and then vouches for nothing made later', async () => {
    const { store, keyring, another } = await vouching()
    const next = await makeKeyringKey(alices(store))
    const after = another({ keyringKey: parseKeyringKey(next) })
    const record = (await after.dataKey('users')).encrypt(plaintext, options)
    expect(await codeOf(() => keyring.decrypt(record, options))).toBe('no_data_key')
    expect((await store.all()).filter(({ name }) => name === 'keyring-key')).toHaveLength(2)
  })

  test('is no name for records', async () => {
    expect(await codeOf(() => open().keyring.dataKey('keyring-key'))).toBe('bad_input')
  })

  test.each(['', 'AAAA', 'A'.repeat(63), 'A'.repeat(65), `${'A'.repeat(63)}=`, ` ${'A'.repeat(64)}`])(
    'has no reference like %j',
    (text) => expect(syncCodeOf(() => parseKeyringKey(text))).toBe('bad_text'),
  )

  test('is parsed before it is used, and says its reference', async () => {
    const { reference, keyringKey } = await vouching()
    expect([String(keyringKey), JSON.stringify(keyringKey)]).toEqual([reference, `"${reference}"`])
    expect(syncCodeOf(() => parseKeyringKey(7 as never))).toBe('bad_input')
    const given = { ...alices(new WatchedStore()), keyringKey: reference as never }
    expect(syncCodeOf(() => openKeyring(given))).toBe('bad_input')
  })

  test('goes on when somebody loses access, as index keys do', async () => {
    const { keyring, store, reference } = await vouching({ recipients: [alice.recipient, bob.recipient] })
    await keyring.dataKey('users')
    await keyring.rewrap({ recipients: [alice.recipient] })
    const root = await store.get((fromBase64url(reference) ?? new Uint8Array()).subarray(0, 16))
    expect(root).toMatchObject({ state: 'writing' })
  })
})
