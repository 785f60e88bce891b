import { runInNewContext } from 'node:vm'

import { describe, expect, test } from 'vitest'

import {
  LocalIdentity,
  PublicKeyRecipient,
  attach,
  blindIndex,
  decrypt,
  detach,
  encodeValue,
  encrypt,
  generateIdentity,
  inspect,
  keyIdOf,
  parseIdentity,
  parseRecipient,
  parseStanza,
  rewrap,
  unwrapDataKey,
  wrapDataKey,
} from '../src/index.ts'
import { checkOptions } from '../src/options.ts'
import { codeOf, refusalOf } from './refusals.ts'
import { dataKeyOf, identityOf, patterned } from './samples.ts'

const identity = identityOf(1)
const recipients = [identity.recipient]
const identities = [identity]
const dataKey = dataKeyOf(2)
const wrappedKey = await wrapDataKey(dataKey, { recipients })
const envelope = await encrypt(patterned(5), { recipients, dataKey })
const { record } = detach(envelope)

/** Every public function with its options, given here as they should be. */
const calls: Readonly<Record<string, { right: object; call: (options: never) => unknown }>> = {
  encrypt: { right: { recipients }, call: (options) => encrypt(patterned(5), options) },
  decrypt: { right: { identities }, call: (options) => decrypt(envelope, options) },
  wrapDataKey: { right: { recipients }, call: (options) => wrapDataKey(dataKey, options) },
  unwrapDataKey: { right: { identities }, call: (options) => unwrapDataKey(wrappedKey, options) },
  rewrap: { right: { identities, recipients }, call: (options) => rewrap(wrappedKey, options) },
  attach: { right: { wrappedKey, record }, call: (options) => attach(options) },
  'DataKey.encrypt': {
    right: { recordContext: {} },
    call: (options) => dataKey.encrypt(patterned(5), options),
  },
  'DataKey.decrypt': { right: { recordContext: {} }, call: (options) => dataKey.decrypt(record, options) },
}

describe.each(Object.entries(calls))('%s', (name, { right, call }) => {
  const tried = (options: unknown) => async () => call(options as never) // wrong on purpose

  test('takes its own options', async () => {
    expect(await tried(right)()).toBeDefined()
  })

  test.each(['keyContxt', 'contexts', 'Context', 'recipient', 'aad', ''])(
    'refuses %j by name',
    async (option) => {
      const error = await refusalOf(tried({ ...right, [option]: {} }))
      expect(error.code).toBe('bad_input')
      expect(error.message).toContain(`${name}: unknown option "${option}"`)
      expect(error.hint).toContain(Object.keys(right)[0])
    },
  )

  test.each([undefined, null, 'options', 7])('refuses %s for options', async (options) => {
    expect(await codeOf(tried(options))).toBe('bad_input')
  })

  test('refuses each of its options when it is missing', async () => {
    for (const option of Object.keys(right)) {
      const rest = Object.fromEntries(Object.entries(right).filter(([key]) => key !== option))
      expect(await codeOf(tried(rest)), option).toBe('bad_input')
    }
  })
})

test.each([
  ['encrypt', (bytes: never) => encrypt(bytes, { recipients })],
  ['decrypt', (bytes: never) => decrypt(bytes, { identities })],
  ['unwrapDataKey', (bytes: never) => unwrapDataKey(bytes, { identities })],
  ['rewrap', (bytes: never) => rewrap(bytes, { identities, recipients })],
  ['detach', (bytes: never) => detach(bytes)],
  ['attach', (bytes: never) => attach({ wrappedKey: bytes, record })],
  ['inspect', (bytes: never) => inspect(bytes)],
  ['keyIdOf', (bytes: never) => keyIdOf(bytes)],
  ['parseStanza', (bytes: never) => parseStanza(bytes)],
  [
    'PublicKeyRecipient.wrap',
    (bytes: never) => identity.recipient.wrap(bytes, { keyId: dataKey.keyId, keyContext: [] }),
  ],
  ['DataKey.encrypt', (bytes: never) => dataKey.encrypt(bytes, { recordContext: {} })],
  ['DataKey.decrypt', (bytes: never) => dataKey.decrypt(bytes, { recordContext: {} })],
])('%s refuses what is no Uint8Array', async (_, call) => {
  for (const wrong of [
    'text',
    [1, 2, 3],
    new ArrayBuffer(32),
    new DataView(new ArrayBuffer(32)),
    null,
    undefined,
  ]) {
    expect(await codeOf(async () => call(wrong as never))).toBe('bad_input')
  }
})

const seed = new Uint8Array(32).fill(1)
const { publicKey } = identity.recipient
const stanza = wrappedKey.subarray(4 + 17 + 2, -32)

/** Those whose options may be left out. */
const optional: Readonly<Record<string, (options?: never) => unknown>> = {
  generateIdentity: (options) => generateIdentity(options),
  parseIdentity: (options) => parseIdentity(identity.exportText(), options),
  parseRecipient: (options) => parseRecipient(identity.recipient.toString(), options),
  'LocalIdentity.fromSeed': (options) => LocalIdentity.fromSeed(seed, 0x647a, options),
  'PublicKeyRecipient.fromPublicKey': (options) =>
    PublicKeyRecipient.fromPublicKey(0x647a, publicKey, options),
  parseStanza: (options) => parseStanza(stanza, options),
  inspect: (options) => inspect(envelope, options),
}

describe.each(Object.entries(optional))('%s', (name, call) => {
  test('needs no options, and refuses what it does not know', async () => {
    expect(call()).toBeDefined()
    expect(call({} as never)).toBeDefined()
    for (const wrong of [{ Suites: [] }, { suit: undefined }, null, 'suites', 7]) {
      expect((await refusalOf(() => call(wrong as never))).message).toContain(name)
    }
  })
})

test('names of Object.prototype are unknown too', async () => {
  const options = JSON.parse('{"__proto__": {}, "toString": 1}') as object // a name no literal can give
  expect(await codeOf(() => checkOptions(options, ['a'], 'f'))).toBe('bad_input')
})

test.each([
  ['a text', 'lhrecipient1-abc'],
  ['nothing', undefined],
  ['an identity', identity],
  ['bytes', new Uint8Array(1216)],
])('%s is no recipient', async (_, wrong) => {
  const error = await refusalOf(() => encrypt(patterned(1), { recipients: [wrong as never] }))
  expect(error.code).toBe('bad_input')
})

test.each([
  ['a text', 'LONGHOLD-IDENTITY-1-abc'],
  ['nothing', undefined],
  ['a recipient', identity.recipient],
])('%s is no identity', async (_, wrong) => {
  const error = await refusalOf(() => decrypt(envelope, { identities: [wrong as never] }))
  expect(error.code).toBe('bad_input')
  expect(error.message).not.toContain('abc')
})

test('a data key is no bytes, and bytes are no data key', async () => {
  const bytes = new Uint8Array(32) as never
  expect(await codeOf(() => wrapDataKey(bytes, { recipients }))).toBe('bad_input')
  expect(await codeOf(() => encrypt(patterned(1), { recipients, dataKey: bytes }))).toBe('bad_input')
})

test('no index without a data key', async () => {
  const index = { table: 't', column: 'c', value: patterned(1) }
  for (const wrong of [undefined, {}, new Uint8Array(32)])
    expect(await codeOf(() => blindIndex(wrong as never, index))).toBe('bad_input')
})

test.each([null, '25722', {}])('%s is no KEM', async (kemId) => {
  const bytes = new Uint8Array(32)
  expect(await codeOf(() => PublicKeyRecipient.fromPublicKey(kemId as never, bytes))).toBe('bad_input')
  expect(await codeOf(() => LocalIdentity.fromSeed(bytes, kemId as never))).toBe('bad_input')
})

test('an identity is generated of a suite alone', async () => {
  expect(await codeOf(() => LocalIdentity.generate({} as never))).toBe('bad_input')
  expect(await codeOf(() => generateIdentity({ suite: null as never }))).toBe('bad_input')
})

describe('memory that is not the caller’s alone', () => {
  const bound = { recordContext: {} }
  const shared = (bytes: Uint8Array) => {
    const copy = new Uint8Array(new SharedArrayBuffer(bytes.length))
    copy.set(bytes)
    return copy
  }
  const transferred = (bytes: Uint8Array) => {
    const copy = new Uint8Array(bytes)
    structuredClone(copy, { transfer: [copy.buffer] })
    return copy
  }
  const cutOff = (bytes: Uint8Array) => {
    const buffer = new ArrayBuffer(bytes.length + 1, { maxByteLength: bytes.length + 1 })
    const copy = new Uint8Array(buffer, 1)
    copy.set(bytes)
    buffer.resize(0)
    return copy
  }

  test.each([
    ['shared', shared],
    ['transferred', transferred],
    ['cut off', cutOff],
    ['none at all', (bytes: Uint8Array) => new Proxy(bytes, {})],
  ])('%s', async (_, into) => {
    expect(await codeOf(() => dataKey.encrypt(into(patterned(5)), bound))).toBe('bad_input')
    expect(await codeOf(() => dataKey.decrypt(into(record), bound))).toBe('bad_input')
    expect(await codeOf(() => decrypt(into(envelope), { identities }))).toBe('bad_input')
    expect(await codeOf(() => unwrapDataKey(into(wrappedKey), { identities }))).toBe('bad_input')
  })

  test('a record is bound to what was said, whatever a getter encrypts meanwhile', () => {
    const interrupt = () => dataKey.encrypt(patterned(3), { recordContext: { another: 'context' } })
    const plaintext = patterned(40)
    Object.defineProperty(plaintext, 'length', { get: () => (interrupt(), 40) })
    const context = {
      get a() {
        return interrupt() && '1'
      },
    }
    const written = dataKey.encrypt(plaintext, { recordContext: context })
    expect(dataKey.decrypt(written, { recordContext: { a: '1' } })).toEqual(patterned(40))
  })

  test('nothing is written in place of a plaintext that a getter takes away', async () => {
    const plaintext = patterned(40)
    const context = {
      get a() {
        structuredClone(plaintext, { transfer: [plaintext.buffer] })
        return '1'
      },
    }
    expect(await codeOf(() => dataKey.encrypt(plaintext, { recordContext: context }))).toBe('bad_input')
  })

  test('bytes of another realm are bytes, its other arrays are not', async () => {
    const foreign = runInNewContext('new Uint8Array([1, 2, 3])') as Uint8Array
    const own = Uint8Array.of(1, 2, 3)
    expect(dataKey.decrypt(dataKey.encrypt(foreign, bound), bound)).toEqual(own)
    expect(await decrypt(await encrypt(foreign, { recipients }), { identities })).toEqual(own)
    expect(encodeValue({ type: 'bytes', value: foreign })).toEqual(encodeValue({ type: 'bytes', value: own }))
    for (const wrong of [
      'new Int8Array(3)',
      'new DataView(new ArrayBuffer(3))',
      '[1, 2, 3]',
      'new ArrayBuffer(3)',
    ]) {
      const value = runInNewContext(wrong) as never
      expect(await codeOf(() => dataKey.encrypt(value, bound))).toBe('bad_input')
    }
    const foreignShared = runInNewContext('new Uint8Array(new SharedArrayBuffer(3))') as never
    expect(await codeOf(() => dataKey.encrypt(foreignShared, bound))).toBe('bad_input')
  })

  test('memory that may grow is as good as any', () => {
    const growing = new Uint8Array(new ArrayBuffer(5, { maxByteLength: 100 }))
    growing.set(patterned(5))
    expect(dataKey.decrypt(dataKey.encrypt(growing, bound), bound)).toEqual(patterned(5))
  })
})
