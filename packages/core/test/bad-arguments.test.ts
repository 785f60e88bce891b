/**
 * Whatever a caller passes in place of an argument, or of a member of it, is taken or refused by a code of the caller's
 * mistakes: nothing throws as the language does where something is read that is not there.
 */

import { describe, expect, test } from 'vitest'

import { LongholdError } from '../src/errors.ts'
import type { ErrorCode } from '../src/errors.ts'
import * as core from '../src/index.ts'
import { MemoryKeyStore } from '../src/stores/memory.ts'
import { identityOf, patterned } from './samples.ts'

const alice = identityOf(1)
const suites = [core.defaultSuite]
const context = { id: '1' }
const [identities, recipients] = [[alice], [alice.recipient]]
const plaintext = patterned(10)
const dataKey = core.DataKey.generate()
const record = dataKey.encrypt(plaintext, { recordContext: context })
const typed = dataKey.encryptValue({ type: 'string', value: 'x' }, { recordContext: context })
const wrappedKey = await core.wrapDataKey(dataKey, { recipients, keyContext: context })
const envelope = await core.encrypt(plaintext, { recipients, context, dataKey })
const [recordContext, keyContext] = [context, {}]
const [stanza] = [await alice.recipient.wrap(new Uint8Array(32), { keyId: dataKey.keyId, keyContext: [] })]
const store = new MemoryKeyStore()
const reference = await core.makeKeyringKey({ identities, recipients, store })
const keyringKey = core.parseKeyringKey(reference)
const storedKeyringKey = await store.get(keyringKey.keyId)
const keyringKeyWrap =
  storedKeyringKey !== undefined && 'wrappedKey' in storedKeyringKey
    ? storedKeyringKey.wrappedKey
    : new Uint8Array()
const openedKeyringKey = await core.openKeyringKey(keyringKey, keyringKeyWrap, { identities })
const keyring = core.openKeyring({ identities, recipients, store })
const handle = await keyring.dataKey('users')
const ofKeyring = handle.encrypt(plaintext, { recordContext: context })
const valueOfKeyring = handle.encryptValue({ type: 'string', value: 'x' }, { recordContext: context })
const keyId = core.keyIdOf(ofKeyring)
const indexKey = await keyring.indexKey('users')
const place = { table: 't', column: 'c', value: plaintext, bits: 64 }
const limits = { maxMessages: 5, maxBytes: 5000, maxAgeMs: 5000 }
const opening = { identities, recipients, store, suites, limits, refreshMs: 5, keyringKey }
const policy = { writeSuites: suites, maxReadAgeMs: 5000, readUnvouched: true }
const cache = { maxKeys: 5, maxAgeMs: 5 }
const readingCode: ErrorCode[] = ['malformed', 'unsupported', 'cannot_open', 'not_a_recipient', 'no_data_key']

type Call = [call: (...args: never[]) => unknown, args: readonly unknown[]]

/** Each with arguments that are right. */
const calls: Record<string, Call> = {
  'DataKey.from': [core.DataKey.from.bind(core.DataKey), [new Uint8Array(32)]],
  'DataKey.encrypt': [dataKey.encrypt.bind(dataKey), [plaintext, { recordContext }]],
  'DataKey.decrypt': [dataKey.decrypt.bind(dataKey), [record, { recordContext }]],
  'DataKey.encryptValue': [
    dataKey.encryptValue.bind(dataKey),
    [{ type: 'number', value: 1 }, { recordContext }],
  ],
  'DataKey.decryptValue': [dataKey.decryptValue.bind(dataKey), [typed, { recordContext }]],
  'LocalIdentity.generate': [core.LocalIdentity.generate.bind(core.LocalIdentity), [core.defaultSuite]],
  'LocalIdentity.fromSeed': [
    core.LocalIdentity.fromSeed.bind(core.LocalIdentity),
    [new Uint8Array(32), 0x647a, { suites }],
  ],
  'PublicKeyRecipient.fromPublicKey': [
    core.PublicKeyRecipient.fromPublicKey.bind(core.PublicKeyRecipient),
    [0x647a, alice.recipient.publicKey, { suites }],
  ],
  attach: [core.attach, [{ wrappedKey, record }, { suites }]],
  blindIndex: [core.blindIndex, [dataKey, place]],
  canonicalContext: [core.canonicalContext, [context]],
  ciphertextSize: [core.ciphertextSize, [5, { recipients: 1, suites }]],
  decodeValue: [core.decodeValue, [core.encodeValue({ type: 'string', value: 'x' })]],
  decrypt: [core.decrypt, [envelope, { identities, context, suites }]],
  decryptRecordStream: [core.decryptRecordStream, [dataKey, { recordContext }]],
  decryptStream: [core.decryptStream, [{ identities, context, suites }]],
  detach: [core.detach, [envelope, { suites }]],
  encodeStanza: [core.encodeStanza, [stanza]],
  encodeValue: [core.encodeValue, [{ type: 'number', value: 1 }]],
  encrypt: [core.encrypt, [plaintext, { recipients, context, dataKey, suites }]],
  encryptRecordStream: [core.encryptRecordStream, [dataKey, { recordContext }]],
  encryptStream: [core.encryptStream, [{ recipients, context, dataKey, suites }]],
  fromText: [core.fromText, [core.toText(record)]],
  generateIdentity: [core.generateIdentity, [{ suite: core.defaultSuite }]],
  inspect: [core.inspect, [envelope, { suites }]],
  keyIdOf: [core.keyIdOf, [record]],
  makeKeyringKey: [core.makeKeyringKey, [{ ...opening, policy, cache }]],
  openEncrypted: [
    core.openEncrypted,
    [new Blob([new Uint8Array(envelope)]), { identities, context, suites }],
  ],
  openEncryptedRecord: [
    core.openEncryptedRecord,
    [new Blob([new Uint8Array(record)]), dataKey, { recordContext }],
  ],
  openKeyring: [core.openKeyring, [{ ...opening, policy, cache }]],
  openKeyringKey: [core.openKeyringKey, [keyringKey, keyringKeyWrap, { identities, suites }]],
  'OpenKeyringKey.tagOf': [
    openedKeyringKey.tagOf.bind(openedKeyringKey),
    [dataKey, { name: 'users', keyContext, createdAt: new Date(5) }],
  ],
  parseIdentity: [core.parseIdentity, [alice.exportText(), { suites }]],
  parseKeyringKey: [core.parseKeyringKey, [reference]],
  parseRecipient: [core.parseRecipient, [alice.recipient.toString(), { suites }]],
  parseStanza: [core.parseStanza, [core.encodeStanza(stanza), { suites }]],
  plaintextSize: [core.plaintextSize, [5000, { recipients: 1, suites }]],
  rewrap: [core.rewrap, [wrappedKey, { identities, recipients, keyContext: context, suites }]],
  toText: [core.toText, [record]],
  unwrapDataKey: [core.unwrapDataKey, [wrappedKey, { identities, keyContext: context, suites }]],
  vouchFor: [core.vouchFor, [[keyId], { ...opening, policy, cache }]],
  wrapDataKey: [core.wrapDataKey, [dataKey, { recipients, keyContext: context, suites }]],
  'Keyring.dataKey': [keyring.dataKey.bind(keyring), ['users', { keyContext, messages: 1, bytes: 1 }]],
  'Keyring.dataKeys': [async (given: never) => await keyring.dataKeys(given).next(), [{ after: keyId }]],
  'Keyring.decrypt': [keyring.decrypt.bind(keyring), [ofKeyring, { recordContext, keyContext }]],
  'Keyring.decryptSync': [keyring.decryptSync.bind(keyring), [ofKeyring, { recordContext, keyContext }]],
  'Keyring.decryptValue': [
    keyring.decryptValue.bind(keyring),
    [valueOfKeyring, { recordContext, keyContext }],
  ],
  'Keyring.decryptValueSync': [
    keyring.decryptValueSync.bind(keyring),
    [valueOfKeyring, { recordContext, keyContext }],
  ],
  'Keyring.decryptStream': [keyring.decryptStream.bind(keyring), [{ recordContext, keyContext }]],
  'Keyring.encryptStream': [
    keyring.encryptStream.bind(keyring),
    ['users', { recordContext, keyContext, size: 10 }],
  ],
  'Keyring.open': [
    keyring.open.bind(keyring),
    [new Blob([new Uint8Array(ofKeyring)]), { recordContext, keyContext }],
  ],
  'Keyring.destroy': [keyring.destroy.bind(keyring), [new Uint8Array(16)]],
  'Keyring.destroyAll': [keyring.destroyAll.bind(keyring), ['nobody', { keyContext }]],
  'Keyring.handle': [keyring.handle.bind(keyring), ['users', { keyContext }]],
  'Keyring.indexKey': [keyring.indexKey.bind(keyring), ['users', { keyContext }]],
  'Keyring.preload': [keyring.preload.bind(keyring), [[keyId]]],
  'Keyring.rewrap': [keyring.rewrap.bind(keyring), [{ recipients, onProgress: () => {}, after: keyId }]],
  'Keyring.rotate': [keyring.rotate.bind(keyring), ['users', { keyContext }]],
  'DataKeyHandle.ready': [handle.ready.bind(handle), [{ messages: 1, bytes: 1 }]],
  'DataKeyHandle.encrypt': [handle.encrypt.bind(handle), [plaintext, { recordContext }]],
  'DataKeyHandle.encryptValue': [
    handle.encryptValue.bind(handle),
    [{ type: 'number', value: 1 }, { recordContext }],
  ],
  'DataKeyHandle.decrypt': [handle.decrypt.bind(handle), [ofKeyring, { recordContext }]],
  'DataKeyHandle.decryptValue': [handle.decryptValue.bind(handle), [valueOfKeyring, { recordContext }]],
  'BlindIndexKey.blindIndex': [indexKey.blindIndex.bind(indexKey), [place]],
}

/** Byte helpers, which trust their callers as the language does; and what makes no sense to call with nonsense. */
const exempt = [
  'concat',
  'equalBytes',
  'fromBase64url',
  'fromHex',
  'toBase64url',
  'toHex',
  'utf8',
  'rewrapStopsWriting',
]

const nonsense: readonly unknown[] = [
  undefined,
  null,
  true,
  7,
  -1,
  0.5,
  Number.NaN,
  '',
  'x',
  10n,
  Symbol('s'),
  [],
  [null],
  [undefined],
  ['x'],
  {},
  { length: 2 },
  () => 1,
  new Uint8Array(3),
  new Date(Number.NaN),
  new Map(),
  Object.create(null),
  Promise.resolve(1),
  new Proxy({}, {}),
]

/** Options and the like. Suites, which nobody makes, are frozen. */
function isPlain(value: unknown): boolean {
  return Object.getPrototypeOf(value ?? 0) === Object.prototype && !Object.isFrozen(value)
}

/** The same arguments with each one, and each member of each, replaced. */
function* spoiled(args: readonly unknown[]): Generator<readonly unknown[]> {
  for (const [at, arg] of args.entries()) {
    for (const junk of nonsense) {
      yield args.with(at, junk)
      if (!isPlain(arg)) continue
      for (const [name, member] of Object.entries(arg as object)) {
        yield args.with(at, { ...(arg as object), [name]: junk })
        if (!isPlain(member)) continue
        for (const inner of Object.keys(member as object))
          yield args.with(at, { ...(arg as object), [name]: { ...(member as object), [inner]: junk } })
      }
    }
  }
}

const callersCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'bad_input',
  'bad_context',
  'bad_key',
  'bad_text',
  'bad_value',
  'limit_exceeded',
  // Arguments that are data: `new Uint8Array(3)` is no envelope, `{}` another context.
  ...readingCode,
  'unavailable',
])

describe.each(Object.entries(calls))('%s', (_, [call, args]) => {
  test('takes what is right', async () => {
    await expect((async () => await call(...(args as never[])))()).resolves.not.toThrow()
  })

  test('refuses whatever else by a code', async () => {
    let tried = 0
    let refused = 0
    const wrong: string[] = []
    for (const given of spoiled(args)) {
      tried++
      try {
        await call(...(given as never[]))
      } catch (error) {
        refused++
        const isRight = error instanceof LongholdError && callersCodes.has(error.code) && error.message !== ''
        if (!isRight) wrong.push(`${given.map(shown).join(', ')}: ${String(error)}`)
      }
    }
    expect(wrong).toEqual([])
    expect(refused).toBeGreaterThan(tried / 10)
  })
})

test('every function of the library is among them', () => {
  const functions = Object.entries(core)
    .filter(([, value]) => typeof value === 'function' && !/^class\b/.test(String(value)))
    .map(([name]) => name)
  expect(functions.filter((name) => !(name in calls) && !exempt.includes(name))).toEqual([])
})

function shown(value: unknown): string {
  if (typeof value === 'function') return 'function'
  if (typeof value === 'object' && value !== null && isPlain(value))
    return `{${Object.entries(value)
      .map(([name, member]) => `${name}: ${shown(member)}`)
      .join(', ')}}`
  if (Array.isArray(value)) return `[${value.length}]`
  return typeof value === 'object' && value !== null ? (value.constructor?.name ?? 'bare') : String(value)
}
