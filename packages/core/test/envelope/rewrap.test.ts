import { describe, expect, test } from 'vitest'

import { concat, toHex } from '../../src/bytes.ts'
import {
  attach,
  decrypt,
  detach,
  encrypt,
  inspect,
  rewrap,
  unwrapDataKey,
  wrapDataKey,
} from '../../src/index.ts'
import type { Identity } from '../../src/index.ts'
import { describeBackends } from '../backends.ts'
import { codeOf, syncCodeOf } from '../refusals.ts'
import {
  changed,
  context,
  dataKeyOf,
  identityOf,
  patterned,
  stanzaFor,
  unknownStanza,
  wrappedKeyOf,
} from '../samples.ts'

const [anna, ben, carl] = [identityOf(1), identityOf(2), identityOf(3)]
const identities = [anna]
const dataKey = dataKeyOf(6)
const toAnna = { recipients: [anna.recipient], context, dataKey }
const bodyOf = (envelope: Uint8Array) => detach(envelope).record.subarray(20)

describeBackends(() => {
  test('a wrapped key gets new recipients, and the old ones are gone', async () => {
    const old = await wrapDataKey(dataKey, { recipients: [anna.recipient], keyContext: context })
    const renewed = await rewrap(old, {
      identities,
      recipients: [ben.recipient, carl.recipient],
      keyContext: context,
    })
    expect(inspect(renewed)).toMatchObject({ kind: 'wrapped key', keyId: toHex(dataKey.keyId) })
    for (const identity of [ben, carl]) {
      const key = await unwrapDataKey(renewed, { identities: [identity], keyContext: context })
      expect(key.keyId).toEqual(dataKey.keyId)
    }
    expect(await codeOf(() => unwrapDataKey(renewed, { identities, keyContext: context }))).toBe(
      'not_a_recipient',
    )
    expect(await unwrapDataKey(old, { identities, keyContext: context })).toBeDefined() // it is no revocation
  })

  test('an envelope keeps its body to the byte', async () => {
    const envelope = await encrypt(patterned(20_000), toAnna)
    const renewed = await rewrap(envelope, { identities, recipients: [ben.recipient], keyContext: context })
    expect(Buffer.compare(bodyOf(renewed), bodyOf(envelope))).toBe(0)
    expect(Buffer.compare(await decrypt(renewed, { identities: [ben], context }), patterned(20_000))).toBe(0)
  })

  test('detach gives a wrapped key and a record that open, attach puts them back', async () => {
    const envelope = await encrypt(patterned(100), toAnna)
    const parts = detach(envelope)
    const key = await unwrapDataKey(parts.wrappedKey, { identities, keyContext: context })
    expect(key.decrypt(parts.record, { recordContext: context })).toEqual(patterned(100))
    expect(attach(parts)).toEqual(envelope)
    expect(parts.wrappedKey.length + parts.record.length).toBe(envelope.length + 4 + 16)
  })
})

test('rewrapping copies no stanza, not even for a recipient who stays', async () => {
  const old = await wrapDataKey(dataKey, { recipients: [anna.recipient] })
  const renewed = await rewrap(old, { identities, recipients: [anna.recipient] })
  expect(toHex(renewed.subarray(0, 45))).toBe(toHex(old.subarray(0, 45)))
  for (let at = 45; at + 16 <= old.length; at += 16) {
    expect(toHex(renewed.subarray(at, at + 16))).not.toBe(toHex(old.subarray(at, at + 16)))
  }
})

test('stanzas of unknown suites are not carried over', async () => {
  const wrapped = wrappedKeyOf(dataKey, [unknownStanza(1), await stanzaFor(anna.recipient, dataKey)])
  const renewed = await rewrap(wrapped, { identities, recipients: [anna.recipient] })
  expect(inspect(renewed).stanzas).toHaveLength(1)
})

describe('rewrap opens the old header completely:', () => {
  test.each([
    [
      'an altered MAC',
      async () =>
        changed(await wrapDataKey(dataKey, { recipients: [anna.recipient] }), 4 + 17 + 1192, 0, 0, 0),
    ],
    [
      'another context',
      async () => wrapDataKey(dataKey, { recipients: [anna.recipient], keyContext: context }),
    ],
    [
      'another key id',
      async () => changed(await wrapDataKey(dataKey, { recipients: [anna.recipient] }), 4, 0, 0, 0),
    ],
  ])('%s is cannot_open', async (_, make) => {
    const wrapped = await make()
    expect(await codeOf(() => rewrap(wrapped, { identities, recipients: [ben.recipient] }))).toBe(
      'cannot_open',
    )
  })

  test('a stranger cannot, and nobody is left without recipients', async () => {
    const wrapped = await wrapDataKey(dataKey, { recipients: [anna.recipient] })
    const recipients = [ben.recipient]
    expect(await codeOf(() => rewrap(wrapped, { identities: [carl], recipients }))).toBe('not_a_recipient')
    expect(await codeOf(() => rewrap(wrapped, { identities, recipients: [] }))).toBe('bad_input')
    const { record } = detach(await encrypt(patterned(1), toAnna))
    expect(await codeOf(() => rewrap(record, { identities, recipients }))).toBe('malformed')
  })
})

test('what the caller does with the envelope meanwhile does not get into the new one', async () => {
  const given = Buffer.from(await encrypt(patterned(50), toAnna))
  const pairs: Record<string, string> = { ...context }
  const slow: Identity = {
    owns: async (kemId, recipientId) => anna.owns(kemId, recipientId),
    async unwrap(stanza, bound) {
      given.fill(0)
      pairs['tenant'] = 'b'
      return anna.unwrap(stanza, bound)
    },
  }
  const renewed = await rewrap(given, { identities: [slow], recipients: [ben.recipient], keyContext: pairs })
  expect(await decrypt(renewed, { identities: [ben], context })).toEqual(patterned(50))
})

describe('attach', () => {
  test('refuses the record of another data key', async () => {
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [anna.recipient] })
    const record = dataKeyOf(7).encrypt(patterned(1), { recordContext: {} })
    expect(syncCodeOf(() => attach({ wrappedKey, record }))).toBe('bad_input')
  })

  test('fits what was bound to equal contexts, and what was not does not open', async () => {
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [anna.recipient], keyContext: context })
    const record = dataKey.encrypt(patterned(1), { recordContext: context })
    expect(await decrypt(attach({ wrappedKey, record }), { identities, context })).toEqual(patterned(1))
    const other = attach({ wrappedKey, record: dataKey.encrypt(patterned(1), { recordContext: {} }) })
    for (const given of [context, {}]) {
      expect(await codeOf(() => decrypt(other, { identities, context: given }))).toBe('cannot_open')
    }
  })

  test('refuses parts that are in each other’s place, or whole envelopes', async () => {
    const envelope = await encrypt(patterned(1), toAnna)
    const { wrappedKey, record } = detach(envelope)
    for (const parts of [
      { wrappedKey: record, record: wrappedKey },
      { wrappedKey: envelope, record },
      { wrappedKey, record: envelope },
      { wrappedKey: concat(wrappedKey, record), record },
    ]) {
      expect(syncCodeOf(() => attach(parts))).toBe('malformed')
    }
    expect(syncCodeOf(() => detach(wrappedKey))).toBe('malformed')
    expect(syncCodeOf(() => detach(record))).toBe('malformed')
  })
})

test('the parts are copies', async () => {
  const envelope = await encrypt(patterned(10), toAnna)
  const kept = new Uint8Array(envelope)
  const { wrappedKey, record } = detach(envelope)
  const attached = attach({ wrappedKey, record })
  wrappedKey.fill(0)
  record.fill(0)
  expect(envelope).toEqual(kept)
  expect(attached).toEqual(kept)
})

test('the recipients are those that were named, whatever becomes of the list meanwhile', async () => {
  const old = await wrapDataKey(dataKey, { recipients: [anna.recipient], keyContext: context })
  const recipients = [ben.recipient]
  const slow: Identity = {
    owns: (kemId, recipientId) => anna.owns(kemId, recipientId),
    async unwrap(stanza, bound) {
      recipients[0] = carl.recipient
      return await anna.unwrap(stanza, bound)
    },
  }
  const renewed = await rewrap(old, { identities: [slow], recipients, keyContext: context })
  const ids = inspect(renewed).stanzas.map(({ recipientId }) => recipientId)
  expect(ids).toEqual([toHex(ben.recipientId)])
})

test('an unfit list of recipients is refused before an identity is asked', async () => {
  const old = await wrapDataKey(dataKey, { recipients: [anna.recipient], keyContext: context })
  let asked = 0
  const counting: Identity = {
    owns: () => ++asked > 0,
    unwrap: async (stanza, bound) => await anna.unwrap(stanza, bound),
  }
  const to = { identities: [counting], recipients: [], keyContext: context }
  expect(await codeOf(() => rewrap(old, to))).toBe('bad_input')
  expect(asked).toBe(0)
})
