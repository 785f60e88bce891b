import { describe, expect, test } from 'vitest'

import { concat, toHex, utf8 } from '../../src/bytes.ts'
import { DataKey, decrypt, encrypt, keyIdOf } from '../../src/index.ts'
import type { Identity, Recipient } from '../../src/index.ts'
import { describeBackends } from '../backends.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import {
  changed,
  context,
  dataKeyOf,
  filled,
  identityOf,
  patterned,
  unknownStanza,
  wrappedKeyOf,
} from '../samples.ts'

const [anna, ben, carl] = [identityOf(1), identityOf(2), identityOf(3)]
const recipients = [anna.recipient]
const identities = [anna]
const MiB = 1024 * 1024

describeBackends(() => {
  test.each([0, 1, 16_383, 16_384, 16_385, 32_768, 50_000])(
    '%d bytes come back, in the size of SPEC §6.1',
    async (length) => {
      const envelope = await encrypt(patterned(length), { recipients, context })
      expect(envelope).toHaveLength(1317 + length + 16 * Math.floor(length / 16_384))
      const opened = await decrypt(envelope, { identities, context })
      expect(Buffer.compare(opened, patterned(length))).toBe(0)
      expect(await codeOf(() => decrypt(envelope, { identities }))).toBe('cannot_open')
      expect(await codeOf(() => decrypt(envelope, { identities, context: { ...context, id: '43' } }))).toBe(
        'cannot_open',
      )
    },
  )

  test('each of several recipients opens it', async () => {
    const envelope = await encrypt(patterned(9), { recipients: [anna.recipient, ben.recipient], context })
    for (const identity of [anna, ben]) {
      expect(await decrypt(envelope, { identities: [identity], context })).toEqual(patterned(9))
    }
    expect(await codeOf(() => decrypt(envelope, { identities: [carl], context }))).toBe('not_a_recipient')
  })
})

test('every envelope has a data key of its own, unless one is given', async () => {
  const ids = await Promise.all(
    Array.from({ length: 20 }, async () => toHex(keyIdOf(await encrypt(patterned(1), { recipients })))),
  )
  expect(new Set(ids).size).toBe(20)
  const dataKey = DataKey.generate()
  const envelope = await encrypt(patterned(1), { recipients, dataKey })
  expect(keyIdOf(envelope)).toEqual(dataKey.keyId)
  expect(dataKey.use((bytes) => bytes.length)).toBe(32) // the caller's is not wiped
  expect(await decrypt(envelope, { identities })).toEqual(patterned(1))
})

test('a wiped data key encrypts nothing', async () => {
  const dataKey = dataKeyOf(4)
  dataKey.wipe()
  expect(await codeOf(() => encrypt(patterned(1), { recipients, dataKey }))).toBe('bad_input')
})

describe('what the caller changes while a wrap or unwrap is under way changes nothing:', () => {
  test('the plaintext, the context and the recipients', async () => {
    const plaintext = Buffer.from(patterned(40_000))
    const given: Record<string, string> = { ...context }
    const chosen = [anna.recipient, ben.recipient]
    const pending = encrypt(plaintext, { recipients: chosen, context: given })
    plaintext.fill(0)
    given['tenant'] = 'b'
    chosen.splice(0, 2, carl.recipient)
    const envelope = await pending
    for (const identity of [anna, ben]) {
      const opened = await decrypt(envelope, { identities: [identity], context })
      expect(Buffer.compare(opened, patterned(40_000))).toBe(0)
    }
    expect(await codeOf(() => decrypt(envelope, { identities: [carl], context }))).toBe('not_a_recipient')
  })

  test('the same with a recipient that takes its time', async () => {
    const plaintext = Buffer.from(patterned(10))
    const given: Record<string, string> = { ...context }
    const slow: Recipient = {
      kemId: anna.kemId,
      recipientId: anna.recipientId,
      async wrap(bytes, bound) {
        plaintext.fill(0)
        given['tenant'] = 'b'
        return anna.recipient.wrap(bytes, bound)
      },
    }
    const envelope = await encrypt(plaintext, { recipients: [slow], context: given })
    expect(await decrypt(envelope, { identities, context })).toEqual(patterned(10))
  })

  test('the envelope and the context', async () => {
    const envelope = Buffer.from(await encrypt(patterned(10), { recipients, context }))
    const given: Record<string, string> = { ...context }
    const slow: Identity = {
      owns: async (kemId, recipientId) => anna.owns(kemId, recipientId),
      async unwrap(stanza, bound) {
        envelope.fill(0)
        given['tenant'] = 'b'
        return anna.unwrap(stanza, bound)
      },
    }
    expect(await decrypt(envelope, { identities: [slow], context: given })).toEqual(patterned(10))
  })
})

test('a Buffer comes in, a Uint8Array goes out', async () => {
  const envelope = await encrypt(Buffer.from('hello'), { recipients })
  const opened = await decrypt(Buffer.from(envelope), { identities })
  expect(opened).toEqual(utf8('hello'))
  for (const bytes of [envelope, opened]) expect(bytes).not.toBeInstanceOf(Buffer)
})

test('a bad context is refused before anything is made', async () => {
  let asked = 0
  const counting: Recipient = {
    kemId: anna.kemId,
    recipientId: anna.recipientId,
    async wrap(bytes, bound) {
      asked++
      return anna.recipient.wrap(bytes, bound)
    },
  }
  for (const wrong of [{ '': 'v' }, new Map() as never, null as never]) {
    expect(await codeOf(() => encrypt(patterned(1), { recipients: [counting], context: wrong }))).toBe(
      'bad_context',
    )
  }
  expect(asked).toBe(0)
})

describe('64 MiB at once', () => {
  test('is the most, and comes back', async () => {
    const envelope = await encrypt(new Uint8Array(64 * MiB), { recipients })
    expect(envelope).toHaveLength(1317 + 64 * MiB + 16 * 4096)
    const opened = await decrypt(envelope, { identities })
    expect(Buffer.compare(opened, new Uint8Array(64 * MiB))).toBe(0)
  })

  test('and one byte more is refused, with the number, before memory is taken or anybody asked', async () => {
    const plaintext = new Uint8Array(64 * MiB + 1)
    const header = wrappedKeyOf(dataKeyOf(1), [unknownStanza(1)]).subarray(4)
    const envelope = new Uint8Array(4 + header.length + 72 + 64 * MiB + 1 + 16 * 4096)
    envelope.set(concat(utf8('LHE\u0001'), header))
    const taken = process.memoryUsage().arrayBuffers
    for (const attempt of [
      () => encrypt(plaintext, { recipients }),
      () => decrypt(envelope, { identities }), // no suite of it is known, which is found out later
    ]) {
      const error = await refusalOf(attempt)
      expect(error.code).toBe('limit_exceeded')
      expect(error.message).toMatch(/67108865 bytes.*67108864/)
    }
    expect(process.memoryUsage().arrayBuffers).toBeLessThanOrEqual(taken + MiB)
  })
})

test('an envelope is refused where its body is another envelope’s', async () => {
  const dataKey = dataKeyOf(7)
  const [one, other] = [
    await encrypt(patterned(5), { recipients, context, dataKey }),
    await encrypt(patterned(6), { recipients, context: { ...context, id: '43' }, dataKey }),
  ]
  const mixed = concat(one.subarray(0, 4 + 1241), other.subarray(4 + 1241))
  for (const given of [context, { ...context, id: '43' }]) {
    expect(await codeOf(() => decrypt(mixed, { identities, context: given }))).toBe('cannot_open')
  }
  const foreign = await encrypt(patterned(5), { recipients, context })
  const swapped = concat(one.subarray(0, 4 + 1241), foreign.subarray(4 + 1241))
  expect(await codeOf(() => decrypt(swapped, { identities, context }))).toBe('cannot_open')
  const renamed = changed(one, 4, ...filled(9, 16))
  expect(await codeOf(() => decrypt(renamed, { identities, context }))).toBe('cannot_open')
})
