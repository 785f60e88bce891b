import { describe, expect, test } from 'vitest'

import { LongholdError } from '../../src/errors.ts'
import { generateIdentity, keyIdOf, openKeyring } from '../../src/index.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { defaultSuite } from '../../src/keys/suite.ts'
import { MemoryKeyStore } from '../../src/stores/memory.ts'
import { codeOf, refusalOf, syncCodeOf } from '../refusals.ts'
import { flipped, patterned } from '../samples.ts'
import { alice, bob, counted, open, recordContext, WatchedStore } from './keyring-fixtures.ts'

const plaintext = patterned(100)
const options = { recordContext }

describe('records', () => {
  test('are encrypted and decrypted at once through a handle', async () => {
    const { keyring } = open()
    const users = await keyring.dataKey('users', { keyContext: { tenant: 'a' } })
    const record = users.encrypt(plaintext, options)
    expect(users.decrypt(record, options)).toEqual(plaintext)
    expect(keyIdOf(record)).toEqual(users.keyId)
    const value = { type: 'bigint', value: -5n } as const
    expect(users.decryptValue(users.encryptValue(value, options), options)).toEqual(value)
    expect(syncCodeOf(() => users.decrypt(record, { recordContext: { id: '2' } }))).toBe('cannot_open')
    expect(syncCodeOf(() => users.decrypt(flipped(record, 500), options))).toBe('cannot_open')
  })

  test('are decrypted by another keyring over the same store, by their key id alone', async () => {
    const { keyring, store } = open()
    const users = await keyring.dataKey('users', { keyContext: { tenant: 'a' } })
    const record = users.encrypt(plaintext, options)
    const typed = users.encryptValue({ type: 'string', value: 'ü' }, options)
    const other = open({ store }).keyring
    expect(await other.decrypt(record, options)).toEqual(plaintext)
    expect(await other.decryptValue(typed, options)).toEqual({ type: 'string', value: 'ü' })
    expect(other.decryptSync(record, options)).toEqual(plaintext)
    expect(other.decryptValueSync(typed, options)).toEqual({ type: 'string', value: 'ü' })
    expect(await codeOf(() => other.decrypt(record, { recordContext: {} }))).toBe('cannot_open')
  })

  test('of another name or key context do not open through a handle', async () => {
    const { keyring } = open()
    const a = await keyring.dataKey('users', { keyContext: { tenant: 'a' } })
    const others = [
      await keyring.dataKey('users', { keyContext: { tenant: 'b' } }),
      await keyring.dataKey('users'),
      await keyring.dataKey('files', { keyContext: { tenant: 'a' } }),
    ]
    const record = a.encrypt(plaintext, options)
    for (const other of others) expect(syncCodeOf(() => other.decrypt(record, options))).toBe('cannot_open')
    const same = await keyring.dataKey('users', { keyContext: [['tenant', 'a']] })
    expect(same.decrypt(record, options)).toEqual(plaintext)
  })

  test('may be held to a key context by the keyring, at hand or not', async () => {
    const { keyring, store } = open()
    const record = (await keyring.dataKey('users', { keyContext: { tenant: 'a' } })).encrypt(
      plaintext,
      options,
    )
    const [right, wrong] = [
      { ...options, keyContext: { tenant: 'a' } },
      { ...options, keyContext: { tenant: 'b' } },
    ]
    expect(await codeOf(() => open({ store }).keyring.decrypt(record, wrong))).toBe('cannot_open')
    expect(await open({ store }).keyring.decrypt(record, right)).toEqual(plaintext)
    expect(await codeOf(() => keyring.decrypt(record, wrong))).toBe('cannot_open')
    expect(syncCodeOf(() => keyring.decryptSync(record, { ...options, keyContext: {} }))).toBe('cannot_open')
    expect(keyring.decryptSync(record, right)).toEqual(plaintext)
  })

  test('survive the caller using their bytes and contexts again meanwhile', async () => {
    const { keyring, store } = open()
    const record = (await keyring.dataKey('users')).encrypt(plaintext, { recordContext: { id: '1' } })
    const context = { id: '1' }
    const decrypting = open({ store }).keyring.decrypt(record, { recordContext: context })
    record.fill(0)
    context.id = '2'
    expect(await decrypting).toEqual(plaintext)
  })

  test('of a key id that the store has never heard of are told from destroyed ones', async () => {
    const { keyring } = open()
    const record = (await open().keyring.dataKey('users')).encrypt(plaintext, options)
    expect(await codeOf(() => keyring.decrypt(record, options))).toBe('no_data_key')
    expect(await codeOf(() => keyring.preload([keyIdOf(record)]))).toBe('no_data_key')
  })

  test('are not opened by a wrapped key that was moved to their key id', async () => {
    const { keyring, store } = open()
    const a = await keyring.dataKey('a')
    const b = await keyring.dataKey('b')
    const record = a.encrypt(plaintext, options)
    const stored = await store.get(b.keyId ?? new Uint8Array())
    if (stored?.state !== 'writing') throw new Error('b is writing')
    const swapped = new WatchedStore()
    Object.assign(swapped, { get: async () => stored })
    expect(await codeOf(() => open({ store: swapped }).keyring.decrypt(record, options))).toBe('cannot_open')
    Object.assign(swapped, { get: async () => ({ ...stored, keyContext: [['tenant', 'x']] }) })
    expect(
      await codeOf(() => open({ store: swapped }).keyring.decrypt(b.encrypt(plaintext, options), options)),
    ).toBe('cannot_open')
  })
})

describe('single flight', () => {
  test('a hundred concurrent cold callers make one wrap, one unwrap and one insertion', async () => {
    const { identity, recipient, count } = counted()
    const { keyring, store } = open({ identities: [identity], recipients: [recipient] })
    const records = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const handle = await keyring.dataKey('users')
        return handle.encrypt(plaintext, { recordContext: { id: String(i) } })
      }),
    )
    expect(count).toEqual({ wraps: 1, unwraps: 1 })
    expect(store.asked).toEqual({ findWriting: 1, insertWriting: 1 })
    expect(new Set(records.map((record) => keyIdOf(record).join())).size).toBe(1)
  })

  test('a hundred concurrent readers of a cold data key make one look-up and one unwrap', async () => {
    const { keyring, store } = open()
    const record = (await keyring.dataKey('users')).encrypt(plaintext, options)
    const { identity, recipient, count } = counted()
    const cold = open({ store, identities: [identity], recipients: [recipient] })
    const before = store.asked['get'] ?? 0
    const all = await Promise.all(Array.from({ length: 100 }, () => cold.keyring.decrypt(record, options)))
    for (const one of all) expect(one).toEqual(plaintext)
    expect(count).toEqual({ wraps: 0, unwraps: 1 })
    expect((store.asked['get'] ?? 0) - before).toBe(1)
  })

  test('ten processes at once agree on one data key', async () => {
    const store = new WatchedStore()
    const ids = await Promise.all(
      Array.from({ length: 10 }, async () => (await open({ store }).keyring.dataKey('users')).keyId?.join()),
    )
    expect(new Set(ids).size).toBe(1)
    expect(await store.all()).toHaveLength(1)
  })

  test('a failure is everybody’s, and is not remembered', async () => {
    const { keyring, store } = open()
    store.failing.set('insertWriting', new LongholdError('unavailable', 'down'))
    const codes = await Promise.all(Array.from({ length: 5 }, () => codeOf(() => keyring.dataKey('users'))))
    expect(codes).toEqual(Array.from({ length: 5 }, () => 'unavailable'))
    store.failing.clear()
    expect((await keyring.dataKey('users')).encrypt(plaintext, options).length).toBe(192)
  })
})

describe('who may open new records', () => {
  test('a data key that nobody here can open is not stored', async () => {
    const { keyring, store } = open({ identities: [bob] })
    expect(await codeOf(() => keyring.dataKey('users'))).toBe('not_a_recipient')
    expect(await store.all()).toEqual([])
  })

  test('one that is wrapped for somebody else too is left, one for fewer is used', async () => {
    const both = open({ recipients: [alice.recipient, bob.recipient] })
    const first = await both.keyring.dataKey('users')
    const alone = open({ store: both.store })
    const second = await alone.keyring.dataKey('users')
    expect(second.keyId).not.toEqual(first.keyId)
    expect(await both.store.get(first.keyId ?? new Uint8Array())).toMatchObject({ state: 'reading' })
    const again = open({ store: both.store, recipients: [alice.recipient, bob.recipient] })
    expect((await again.keyring.dataKey('users')).keyId).toEqual(second.keyId)
  })

  test('one that is for others of our recipients alone gives way to one we can open', async () => {
    const store = new WatchedStore()
    await open({ store, identities: [bob], recipients: [bob.recipient] }).keyring.dataKey('users')
    const { keyring } = open({ store, recipients: [alice.recipient, bob.recipient] })
    const users = await keyring.dataKey('users')
    expect(users.decrypt(users.encrypt(plaintext, options), options)).toEqual(plaintext)
  })

  test('an altered wrapped key is an error, not a reason for another one', async () => {
    const { keyring, store } = open()
    const handle = await keyring.dataKey('users')
    const stored = (await store.all())[0]
    if (stored === undefined || handle.keyId === undefined) throw new Error('nothing stored')
    const { keyId, wrappedKey: expected } = stored
    const replacement = flipped(expected, 8 * expected.length - 1)
    await store.replaceWrappedKeys([{ keyId, expected, replacement, stopWriting: false }])
    expect(await codeOf(() => open({ store }).keyring.dataKey('users'))).toBe('cannot_open')
  })
})

describe('the index key of a name', () => {
  const index = { table: 'users', column: 'email', value: patterned(5) }

  test('is one for all, is not a record key, and outlives limits', async () => {
    const { keyring, store, clock } = open()
    const [one, two] = await Promise.all([
      keyring.indexKey('users'),
      open({ store }).keyring.indexKey('users'),
    ])
    expect(one.blindIndex(index)).toEqual(two.blindIndex(index))
    clock.ms += 400 * 24 * 60 * 60 * 1000
    const later = await open({ store, clock }).keyring.indexKey('users')
    expect(later.blindIndex(index)).toEqual(one.blindIndex(index))
    await keyring.dataKey('users')
    expect((await store.all()).map(({ name, messages }) => [name, messages > 0])).toEqual(
      expect.arrayContaining([
        ['blind-index:users', false],
        ['users', true],
      ]),
    )
    const other = await keyring.indexKey('users', { keyContext: { tenant: 'a' } })
    expect(other.blindIndex(index)).not.toEqual(one.blindIndex(index))
  })

  test('stays the same after it was moved, and after a rewrap that shrank its recipients', async () => {
    const both = open({ recipients: [alice.recipient, bob.recipient] })
    const before = (await both.keyring.indexKey('users')).blindIndex(index)
    await both.keyring.rewrap({ recipients: [alice.recipient] })
    const [stored] = await both.store.all()
    expect(stored?.state).toBe('writing')
    await both.store.move(stored?.keyId ?? new Uint8Array(), 'writing', 'reading')
    expect((await open({ store: both.store }).keyring.indexKey('users')).blindIndex(index)).toEqual(before)
  })

  test('has a name that no record is written under', async () => {
    const { keyring } = open()
    expect(await codeOf(() => keyring.dataKey('blind-index:users'))).toBe('bad_input')
    expect(await codeOf(() => keyring.rotate('blind-index:users'))).toBe('bad_input')
  })

  test('is let go by close', async () => {
    const { keyring } = open({ cache: { maxKeys: 1 } })
    const key = await keyring.indexKey('a')
    await keyring.indexKey('b')
    expect(key.blindIndex(index).length).toBe(8) // held, beyond the bound
    key.close()
    key.close()
    await keyring.indexKey('c')
    expect(syncCodeOf(() => key.blindIndex(index))).toBe('bad_input')
  })
})

describe('what cannot be meant is refused before anything is read or written', () => {
  const right = { identities: [alice], recipients: [alice.recipient], store: new MemoryKeyStore() }

  test.each([
    ['no recipients', { recipients: [] }, 'bad_input'],
    ['a recipient twice', { recipients: [alice.recipient, alice.recipient] }, 'bad_input'],
    ['a recipient that is none', { recipients: ['lhrecipient1-x'] }, 'bad_input'],
    ['no identities', { identities: [] }, 'bad_input'],
    ['an identity that is none', { identities: [alice.recipient] }, 'bad_input'],
    ['no store', { store: {} }, 'bad_input'],
    ['an unknown option', { keyContext: {} }, 'bad_input'],
    ['an unknown limit', { limits: { maxRecords: 1 } }, 'bad_input'],
    ['a limit of 0', { limits: { maxMessages: 0 } }, 'bad_input'],
    ['a limit that is no number', { limits: { maxBytes: '1' } }, 'bad_input'],
    ['a limit that is infinite', { limits: { maxMessages: Infinity } }, 'bad_input'],
    ['an age below a second', { limits: { maxAgeMs: 999 } }, 'bad_input'],
    ['an unknown option of the cache', { cache: { size: 1 } }, 'bad_input'],
    ['a cache of 0', { cache: { maxKeys: 0 } }, 'bad_input'],
    ['a cache for no time', { cache: { maxAgeMs: 0 } }, 'bad_input'],
    ['a negative refresh', { refreshMs: -1 }, 'bad_input'],
    ['no suites', { suites: [] }, 'bad_input'],
    ['an unknown policy', { policy: { suites: [] } }, 'bad_input'],
    ['suites to write that cannot be read', { policy: { writeSuites: [mlKem1024P384Suite] } }, 'bad_input'],
    ['an age to read that is none', { policy: { maxReadAgeMs: 0 } }, 'bad_input'],
    ['an age to read below that to write', { policy: { maxReadAgeMs: 1000 } }, 'bad_input'],
    ['a policy that is no yes or no', { policy: { readUnvouched: 1 } }, 'bad_input'],
    [
      'a recipient of a suite that may not be written',
      { suites: [defaultSuite, mlKem1024P384Suite], policy: { writeSuites: [mlKem1024P384Suite] } },
      'unsupported',
    ],
    ['a recipient of a suite not in use', { suites: [mlKem1024P384Suite] }, 'unsupported'],
  ])('%s', async (_, wrong, code) => {
    expect(await codeOf(() => openKeyring({ ...right, ...wrong } as never))).toBe(code)
  })

  test.each(['', 'a'.repeat(257), 'a\u0000', 'a\n', '\ud800', 7 as never])('the name %j', async (name) => {
    const { keyring, store } = open()
    expect(await codeOf(() => keyring.dataKey(name))).toBe('bad_input')
    expect(store.asked).toEqual({})
  })

  test('options and records that are none', async () => {
    const { keyring } = open()
    const users = await keyring.dataKey('users')
    const record = users.encrypt(plaintext, options)
    expect(await codeOf(() => keyring.dataKey('users', { context: {} } as never))).toBe('bad_input')
    expect(await codeOf(() => keyring.dataKey('users', { keyContext: new Map() as never }))).toBe(
      'bad_context',
    )
    expect(await codeOf(() => keyring.decrypt(record, {} as never))).toBe('bad_input')
    expect(await codeOf(() => keyring.decrypt('text' as never, options))).toBe('bad_input')
    expect(await codeOf(() => keyring.decrypt(patterned(200), options))).toBe('malformed')
    expect(syncCodeOf(() => users.encrypt('text' as never, options))).toBe('bad_input')
    expect(syncCodeOf(() => users.encrypt(plaintext, {} as never))).toBe('bad_input')
    expect(await codeOf(() => users.ready({ records: 1 } as never))).toBe('bad_input')
    expect(await codeOf(() => keyring.preload([patterned(15)]))).toBe('bad_input')
    expect(await codeOf(() => keyring.rewrap({ recipients: [] }))).toBe('bad_input')
    expect(await codeOf(() => keyring.rewrap({ after: patterned(3) }))).toBe('bad_input')
    expect(await codeOf(() => keyring.destroy(patterned(3)))).toBe('bad_input')
    expect(await codeOf(() => keyring.destroyAll('users', {}))).toBe('bad_input')
  })
})

describe('policy', () => {
  const strong = generateIdentity({ suite: mlKem1024P384Suite })
  const suites = [defaultSuite, mlKem1024P384Suite]

  test('a data key under a suite that may not be written gives way; it is still read', async () => {
    const store = new WatchedStore()
    const before = open({ store, suites })
    const record = (await before.keyring.dataKey('users')).encrypt(plaintext, options)
    const { keyring } = open({
      store,
      suites,
      identities: [alice, strong],
      recipients: [strong.recipient],
      policy: { writeSuites: [mlKem1024P384Suite] },
    })
    const users = await keyring.dataKey('users')
    expect(keyIdOf(users.encrypt(plaintext, options))).not.toEqual(keyIdOf(record))
    expect(await keyring.decrypt(record, options)).toEqual(plaintext)
    expect(await codeOf(() => keyring.rewrap({ recipients: [alice.recipient] }))).toBe('unsupported')
    const progress = await keyring.rewrap()
    expect(progress).toMatchObject({ rewrapped: 1, unchanged: 1, failed: [] })
  })

  test('a suite that may not be read is unsupported', async () => {
    const strongOnly = open({
      suites: [mlKem1024P384Suite],
      identities: [strong],
      recipients: [strong.recipient],
    })
    const record = (await strongOnly.keyring.dataKey('users')).encrypt(plaintext, options)
    expect(await codeOf(() => open({ store: strongOnly.store }).keyring.decrypt(record, options))).toBe(
      'unsupported',
    )
  })

  test('a data key that is too old is not read, not even by who has it at hand', async () => {
    const limits = { maxAgeMs: 1000 }
    const { keyring, store, clock } = open({ limits, policy: { maxReadAgeMs: 1500 } })
    const handle = await keyring.dataKey('users')
    const record = handle.encrypt(plaintext, options)
    const strict = () => open({ store, clock, limits, policy: { maxReadAgeMs: 1500 } }).keyring
    clock.ms += 1500
    expect(await strict().decrypt(record, options)).toEqual(plaintext)
    expect(handle.decrypt(record, options)).toEqual(plaintext)
    clock.ms += 1
    const error = await refusalOf(() => strict().decrypt(record, options))
    expect(error.code).toBe('limit_exceeded')
    expect(error.message).toContain('1500')
    expect(await codeOf(() => keyring.decrypt(record, options))).toBe('limit_exceeded')
    expect(syncCodeOf(() => handle.decrypt(record, options))).toBe('unavailable')
    // And writing goes on, under a new one.
    await handle.ready()
    expect(handle.decrypt(handle.encrypt(plaintext, options), options)).toEqual(plaintext)
  })

  test('an identity of a suite that may not be read is refused at once', () => {
    const store = new WatchedStore()
    const given = { identities: [alice, strong], recipients: [alice.recipient], store }
    expect(syncCodeOf(() => openKeyring(given))).toBe('unsupported')
    expect(openKeyring({ ...given, suites }).handle('users').name).toBe('users')
    expect(store.asked).toEqual({})
  })

  test('recipients that do not fit are refused before anything is written', async () => {
    const store = new WatchedStore()
    const lists = [
      [],
      [strong.recipient],
      [alice.recipient, alice.recipient],
      [alice.recipient, strong.recipient],
    ]
    for (const recipients of lists) {
      const code = syncCodeOf(() => openKeyring({ identities: [alice], recipients, store }))
      expect(['bad_input', 'unsupported']).toContain(code)
    }
    // Which nobody here could open.
    const { keyring } = open({ store, recipients: [bob.recipient] })
    expect(await codeOf(() => keyring.dataKey('users'))).toBe('not_a_recipient')
    expect(await codeOf(() => keyring.indexKey('users'))).toBe('not_a_recipient')
    expect(await codeOf(() => keyring.rotate('users'))).toBe('not_a_recipient')
    expect(await store.all()).toEqual([])
  })

  test('a suite of the caller’s own is refused: what there is, is hybrid', () => {
    const kemId = 0x0020 // DHKEM(X25519, HKDF-SHA256), RFC 9180 §7.1
    const classical = { ...defaultSuite, kemId, kem: { ...defaultSuite.kem, id: kemId } }
    const given = { identities: [alice], recipients: [alice.recipient], store: new MemoryKeyStore() }
    expect(syncCodeOf(() => openKeyring({ ...given, suites: [defaultSuite, classical] }))).toBe('bad_input')
    expect(syncCodeOf(() => openKeyring({ ...given, policy: { writeSuites: [classical] } }))).toBe(
      'bad_input',
    )
    expect(syncCodeOf(() => generateIdentity({ suite: classical }))).toBe('bad_input')
    for (const suite of suites) expect(Object.isFrozen(suite)).toBe(true)
  })
})
