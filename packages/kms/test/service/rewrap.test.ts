import { DataKey, generateIdentity, inspect, unwrapDataKey, wrapDataKey } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'
import { KmsIdentity } from '@longhold/core/kms'
import { describe, expect, test } from 'vitest'

import { auditHeads } from '../../src/service/audit-heads.ts'
import { ServiceError } from '../../src/service/errors.ts'
import type { Caller } from '../../src/service/policy.ts'
import type { Rewrapped } from '../../src/service/rewrap.ts'
import { allBut, hexOf, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const context = { tenant: 'acme' }
const pairs = Object.entries(context)

async function rewrap(
  { service, admin }: TestService,
  wrappedKey: Uint8Array,
  options: { to?: readonly string[]; caller?: Caller; context?: readonly (readonly [string, string])[] } = {},
): Promise<Rewrapped | ServiceError> {
  const { to = [], caller = admin } = options
  const item = { id: '0', wrappedKey, context: options.context ?? pairs, to }
  const [result] = await service.rewrap(caller, [item])
  if (result === undefined) throw new Error('no result')
  return result.answer
}

function done(answer: Rewrapped | ServiceError): Rewrapped {
  if (answer instanceof ServiceError) throw answer
  return answer
}

async function recipientsOf(under: TestService, wrappedKey: Uint8Array): Promise<string[]> {
  const rows = await under.store.versionsByRecipientId(
    inspect(wrappedKey).stanzas.map(({ recipientId }) => Buffer.from(recipientId, 'hex')),
  )
  const names = new Map(
    rows.map((row) => [Buffer.from(row.recipientId).toString('hex'), `${row.key} ${row.version}`]),
  )
  return inspect(wrappedKey).stanzas.map(({ recipientId }) => names.get(recipientId) ?? 'foreign')
}

async function opens(identity: LocalIdentity | KmsIdentity, wrappedKey: Uint8Array): Promise<string> {
  return hexOf(await unwrapDataKey(wrappedKey, { identities: [identity], keyContext: context }))
}

async function callerWith(under: TestService, ...[wanted, keys]: Parameters<TestService['token']>) {
  const principal = await under.service.tokens.authenticate(await under.token(wanted, keys))
  return { principal, requestId: 'r', permission: 'rewrap' as const }
}

describe('rewrap', () => {
  test('moves a header to the newest version of its key, same data key, same key id', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { dataKey, wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    await under.service.life.versions.rotate(under.admin, 'a')
    const answer = done(await rewrap(under, wrappedKey))
    expect(answer).toMatchObject({ key: 'a', version: 1 })
    expect(await recipientsOf(under, answer.wrappedKey)).toEqual(['a 2'])
    expect(inspect(answer.wrappedKey).keyId).toBe(inspect(wrappedKey).keyId)
    expect(await opens(new KmsIdentity(under.client()), answer.wrappedKey)).toBe(hexOf(dataKey))
  })

  test('keeps every other reader: keys of the service at their newest version, others when supplied', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const offline = generateIdentity()
    const { dataKey, wrappedKey } = await wrapFor(under.client(), ['a', 'b'], {
      context,
      others: [offline.recipient],
    })
    await under.service.life.versions.rotate(under.admin, 'a')
    await under.service.life.versions.rotate(under.admin, 'b')
    expect(await rewrap(under, wrappedKey)).toMatchObject({ code: 'recipient_unknown' })
    const answer = done(await rewrap(under, wrappedKey, { to: [offline.recipient.toString()] }))
    expect(await recipientsOf(under, answer.wrappedKey)).toEqual(['a 2', 'b 2', 'foreign'])
    for (const identity of [offline, new KmsIdentity(under.client(), { keys: ['b'] })]) {
      expect(await opens(identity, answer.wrappedKey)).toBe(hexOf(dataKey))
    }
  })

  test('two versions of one key become one', async () => {
    const under = await startTestService({ keys: ['a'] })
    const first = (await under.service.keys.publicKey(under.admin, 'a')).recipient
    await under.service.life.versions.rotate(under.admin, 'a')
    const second = (await under.service.keys.publicKey(under.admin, 'a')).recipient
    const dataKey = DataKey.generate()
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [first, second], keyContext: context })
    const answer = done(await rewrap(under, wrappedKey))
    expect(await recipientsOf(under, answer.wrappedKey)).toEqual(['a 2'])
  })

  test('goes to another key only where the source allows it', async () => {
    const under = await startTestService({ keys: ['b', 'c'] })
    await under.service.keys.create(under.admin, { key: 'a', rewrapTo: ['b'] })
    const { dataKey, wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    expect(await rewrap(under, wrappedKey, { to: ['c'] })).toMatchObject({ code: 'permission_denied' })
    expect(await rewrap(under, wrappedKey, { to: ['none'] })).toMatchObject({ code: 'permission_denied' })
    const moved = done(await rewrap(under, wrappedKey, { to: ['b'] }))
    expect(await recipientsOf(under, moved.wrappedKey)).toEqual(['b 1'])
    expect(await opens(new KmsIdentity(under.client()), moved.wrappedKey)).toBe(hexOf(dataKey))
    const both = done(await rewrap(under, wrappedKey, { to: ['a', 'b'] }))
    expect(await recipientsOf(under, both.wrappedKey)).toEqual(['a 1', 'b 1'])
    // What b allows decides now, and that is itself.
    expect(await rewrap(under, moved.wrappedKey, { to: ['a'] })).toMatchObject({ code: 'permission_denied' })
  })

  test('adds nobody: not as exfiltration', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    const thief = generateIdentity().recipient.toString()
    expect(await rewrap(under, wrappedKey, { to: [thief] })).toMatchObject({ code: 'permission_denied' })
    expect(await rewrap(under, wrappedKey, { to: ['a', thief] })).toMatchObject({ code: 'permission_denied' })
  })

  test('takes the right to rewrap and, for every key that will read, the right to wrap', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const { wrappedKey } = await wrapFor(under.client(), ['a', 'b'], { context })
    const withoutWrap = await callerWith(under, allBut('wrap'))
    expect(await rewrap(under, wrappedKey, { caller: withoutWrap })).toMatchObject({
      code: 'permission_denied',
    })
    // b is not there for this caller: a reader he would drop.
    const onlyA = await callerWith(under, ['rewrap', 'wrap'], ['a'])
    expect(await rewrap(under, wrappedKey, { caller: onlyA })).toMatchObject({ code: 'recipient_unknown' })
    const neither = await callerWith(under, ['rewrap', 'wrap'], [])
    expect(await rewrap(under, wrappedKey, { caller: neither })).toMatchObject({ code: 'not_found' })
    const both = await callerWith(under, ['rewrap', 'wrap'], ['a', 'b'])
    done(await rewrap(under, wrappedKey, { caller: both }))
  })

  test('opens the old header completely: MAC and context count', async () => {
    const under = await startTestService({ keys: ['a'] })
    const offline = generateIdentity()
    const { wrappedKey } = await wrapFor(under.client(), ['a'], { context, others: [offline.recipient] })
    const to = [offline.recipient.toString()]
    expect(await rewrap(under, wrappedKey, { to, context: [] })).toMatchObject({ code: 'unwrap_failed' })
    // In the MAC, and in the payload of the stanza that is not opened.
    for (const at of [wrappedKey.length - 1, wrappedKey.length - 40]) {
      const altered = new Uint8Array(wrappedKey)
      altered[at] = (altered[at] ?? 0) ^ 1
      expect(await rewrap(under, altered, { to })).toMatchObject({ code: 'unwrap_failed' })
    }
    done(await rewrap(under, wrappedKey, { to }))
  })

  test('refuses what is no wrapped key, item by item', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { dataKey, wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    const record = dataKey.encrypt(new Uint8Array(1), { recordContext: {} })
    for (const bytes of [
      record,
      wrappedKey.subarray(1),
      wrappedKey.subarray(0, 100),
      new Uint8Array([...wrappedKey, 0]),
    ]) {
      expect(await rewrap(under, bytes)).toMatchObject({ code: 'malformed_request' })
    }
    expect(await rewrap(under, wrappedKey, { to: ['lhrecipient1-nonsense'] })).toMatchObject({
      code: 'malformed_request',
    })
  })

  test('refuses more readers than a header holds, and a suite nobody knows', async () => {
    const names = Array.from({ length: 33 }, (_, index) => `k${index}`)
    const under = await startTestService({ keys: names })
    await under.service.keys.create(under.admin, { key: 'a', rewrapTo: names })
    const offline = generateIdentity()
    const { wrappedKey } = await wrapFor(under.client(), ['a'], { context, others: [offline.recipient] })
    const to = [offline.recipient.toString()]
    expect(await rewrap(under, wrappedKey, { to: [...names, ...to] })).toMatchObject({
      code: 'malformed_request',
    })
    // The stanza of `a` with another KDF: magic and version, key id, count, length, KEM, then KDF.
    const altered = new Uint8Array(wrappedKey)
    altered[4 + 16 + 1 + 2 + 2 + 1] = 9
    expect(await rewrap(under, altered, { to })).toMatchObject({ code: 'not_found' })
  })

  test('from a version that is switched off is refused', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    await under.service.life.versions.rotate(under.admin, 'a')
    await under.service.life.versions.setState(under.admin, 'a', 1, 'disabled')
    expect(await rewrap(under, wrappedKey)).toMatchObject({ code: 'invalid_state' })
  })

  test('is opened by the first reader that still may; the one that may not stays a reader, at its newest version', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const { dataKey, wrappedKey } = await wrapFor(under.client(), ['a', 'b'], { context })
    await under.service.life.versions.rotate(under.admin, 'a')
    await under.service.life.versions.setState(under.admin, 'a', 1, 'disabled')
    const answer = done(await rewrap(under, wrappedKey))
    expect(answer).toMatchObject({ key: 'b', version: 1 })
    expect(await recipientsOf(under, answer.wrappedKey)).toEqual(['a 2', 'b 1'])
    expect(await opens(new KmsIdentity(under.client()), answer.wrappedKey)).toBe(hexOf(dataKey))
  })

  test.each(['A', 'a/b', 'LHRECIPIENT1-x', 'x'.repeat(65), '\u001b[2J'])(
    'to %j, which can be no key, is malformed, and the text is not repeated',
    async (text) => {
      const under = await startTestService({ keys: ['a'] })
      const { wrappedKey } = await wrapFor(under.client(), ['a'], { context })
      const answer = await rewrap(under, wrappedKey, { to: ['a', text] })
      expect(answer).toMatchObject({ code: 'malformed_request' })
      expect(answer).not.toMatchObject({ message: expect.stringContaining(text) as string })
    },
  )

  test('to many readers does not hold up everybody else: a few wraps in a turn', async () => {
    const names = Array.from({ length: 16 }, (_, index) => `k${index}`)
    const under = await startTestService({ keys: names })
    await under.service.keys.create(under.admin, { key: 'a', rewrapTo: names })
    const { wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    const items = Array.from({ length: 8 }, (_, id) => ({
      id: `${id}`,
      wrappedKey,
      context: pairs,
      to: names,
    }))
    let turns = 0
    let isOver = false
    const count = () => {
      turns += 1
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    const results = await under.service.rewrap(under.admin, items)
    isOver = true
    for (const { answer } of results) done(answer)
    // 8 decapsulations and 8 times 16 encapsulations, one after the other for each header.
    expect(turns).toBeGreaterThanOrEqual(17)
  })

  test('is in the log with key, version and key id', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { wrappedKey } = await wrapFor(under.client(), ['a'], { context })
    done(await rewrap(under, wrappedKey))
    const head = (await auditHeads(under.store)).at(-1)
    const [entry] = await under.store.auditEntries(head?.run ?? '', { after: (head?.seq ?? 0) - 1, limit: 1 })
    expect(JSON.parse(entry?.body ?? '')).toMatchObject({
      action: 'rewrap',
      items: [{ result: 'done', key: 'a', version: 1, context: pairs, key_ids: [inspect(wrappedKey).keyId] }],
    })
  })
})
