import { DataKey, generateIdentity, Secret, wrapDataKey } from '@longhold/core'
import { describe, expect, onTestFinished, test, vi } from 'vitest'

import { auditHeads } from '../../src/service/audit-heads.ts'
import { ServiceError } from '../../src/service/errors.ts'
import type { Caller } from '../../src/service/policy.ts'
import { encodeStanza, hexOf, stanzaOf, startTestService, wrapFor } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const pairs = [['tenant', 'acme']] as const
const context = { tenant: 'acme' }

interface Given {
  stanza: Uint8Array
  keyId: Uint8Array
  context?: readonly (readonly [string, string])[]
}

async function unwrap({ service, admin }: TestService, given: Given[], caller: Caller = admin) {
  const items = given.map((item, index) => ({ id: `${index}`, context: pairs, ...item }))
  return (await service.unwrap(caller, items)).map(({ answer }) => answer)
}

async function codeOf(under: TestService, given: Given, caller?: Caller): Promise<string> {
  const [answer] = await unwrap(under, [given], caller)
  return answer instanceof ServiceError ? answer.code : 'opened'
}

async function lastEntry({ store }: TestService): Promise<Record<string, unknown>> {
  const head = (await auditHeads(store)).at(-1)
  const [entry] = await store.auditEntries(head?.run ?? '', { after: (head?.seq ?? 0) - 1, limit: 1 })
  return JSON.parse(entry?.body ?? '') as Record<string, unknown>
}

describe('unwrap', () => {
  test('opens what was wrapped for any version, in order, and logs it as verified', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const client = under.client()
    const wrapped = [await wrapFor(client, ['a'], { context }), await wrapFor(client, ['b'], { context })]
    await under.service.life.versions.rotate(under.admin, 'a')
    wrapped.push(await wrapFor(client, ['a'], { context }))
    const answers = await unwrap(
      under,
      wrapped.map(({ stanza, dataKey }) => ({ stanza: encodeStanza(stanza), keyId: dataKey.keyId })),
    )
    expect(
      answers.map((answer) => (answer instanceof ServiceError ? answer.code : hexOf(answer.dataKey))),
    ).toEqual(wrapped.map(({ dataKey }) => hexOf(dataKey)))
    const entry = await lastEntry(under)
    const hex = wrapped.map(({ dataKey }) => Buffer.from(dataKey.keyId).toString('hex'))
    expect(entry).toMatchObject({ action: 'unwrap', principal: under.admin.principal.token })
    expect(entry['items']).toEqual([
      { result: 'done', key: 'a', version: 1, context: pairs, key_ids: [hex[0]] },
      { result: 'done', key: 'b', version: 1, context: pairs, key_ids: [hex[1]] },
      { result: 'done', key: 'a', version: 2, context: pairs, key_ids: [hex[2]] },
    ])
    for (const { dataKey } of wrapped) expect(JSON.stringify(entry)).not.toContain(hexOf(dataKey))
  })

  test('whatever depends on a secret fails in one way', async () => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'], { context })
    const other = await wrapFor(under.client(), ['b'], { context })
    const bytes = encodeStanza(stanza)
    const { keyId } = dataKey
    const lowOrder = new Uint8Array(stanza.payload)
    // The X25519 half of the encapsulated key: all zero is a point of low order.
    lowOrder.fill(0, 1088, 1120)
    const failures: Given[] = [
      { stanza: bytes, keyId: other.dataKey.keyId },
      { stanza: bytes, keyId: new Uint8Array(16) },
      { stanza: bytes, keyId, context: [] },
      { stanza: bytes, keyId, context: [['tenant', 'acme2']] },
      {
        stanza: bytes,
        keyId,
        context: [
          ['tenant', 'acme'],
          ['x', ''],
        ],
      },
      { stanza: encodeStanza({ ...stanza, payload: lowOrder }), keyId },
      { stanza: encodeStanza({ ...stanza, payload: other.stanza.payload }), keyId },
      { stanza: encodeStanza({ ...stanza, recipientId: other.stanza.recipientId }), keyId },
      { stanza: encodeStanza({ ...stanza, kdfId: 2 }), keyId },
    ]
    const answers = await unwrap(under, failures)
    for (const [index, answer] of answers.entries()) {
      expect(answer, `${index}`).toBeInstanceOf(ServiceError)
      expect(answer, `${index}`).toMatchObject({ code: 'unwrap_failed' })
      expect(answer).toEqual(answers[0])
    }
    expect(await codeOf(under, { stanza: bytes, keyId })).toBe('opened')
  })

  test('a stanza with any byte of its payload altered does not open', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'], { context })
    const { length } = stanza.payload
    const given = Array.from({ length }, (_, at) => {
      const payload = new Uint8Array(stanza.payload)
      payload[at] = (payload[at] ?? 0) ^ (1 << (at & 7))
      return { stanza: encodeStanza({ ...stanza, payload }), keyId: dataKey.keyId }
    })
    const answers = await unwrap(under, given)
    expect(answers).toHaveLength(1168)
    for (const answer of answers) expect(answer).toMatchObject({ code: 'unwrap_failed' })
  })

  test('a stanza that yields another data key than the key id says is refused before it is answered', async () => {
    const under = await startTestService({ keys: ['a'] })
    // Made by somebody who binds a foreign key id on purpose: the stanza itself opens.
    const [mine, theirs] = [DataKey.generate(), DataKey.generate()]
    const recipient = (await under.service.keys.publicKey(under.admin, 'a')).recipient
    const stanza = await mine.use((bytes) =>
      recipient.wrap(bytes, { keyId: theirs.keyId, keyContext: pairs }),
    )
    expect(await codeOf(under, { stanza: encodeStanza(stanza), keyId: theirs.keyId })).toBe('unwrap_failed')
    expect(await lastEntry(under)).toMatchObject({
      items: [{ result: 'unwrap_failed', key: 'a', version: 1 }],
    })
  })

  test('keys that do not exist and keys that may not be seen are the same', async () => {
    const under = await startTestService({ keys: ['a', 'hidden'] })
    const hidden = await wrapFor(under.client(), ['hidden'], { context })
    const foreign = generateIdentity()
    const dataKey = DataKey.generate()
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [foreign.recipient], keyContext: context })
    const token = await under.token(['unwrap'], ['a'])
    const caller = {
      principal: await under.service.tokens.authenticate(token),
      requestId: 'r',
      permission: 'unwrap' as const,
    }
    const given = [
      { stanza: encodeStanza(hidden.stanza), keyId: hidden.dataKey.keyId },
      { stanza: encodeStanza(stanzaOf(wrappedKey, 0)), keyId: dataKey.keyId },
    ]
    const [one, two] = await unwrap(under, given, caller)
    expect(one).toMatchObject({ code: 'not_found' })
    expect(one).toEqual(two)
    expect(await codeOf(under, given[0] as Given)).toBe('opened')
  })

  test('a version that is switched off opens nothing, and says so', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'], { context })
    await under.service.life.versions.rotate(under.admin, 'a')
    const given = { stanza: encodeStanza(stanza), keyId: dataKey.keyId }
    expect(await codeOf(under, given)).toBe('opened')
    await under.service.life.versions.setState(under.admin, 'a', 1, 'disabled')
    expect(await codeOf(under, given)).toBe('invalid_state')
    await under.service.life.versions.setState(under.admin, 'a', 1, 'unwrap_only')
    expect(await codeOf(under, given)).toBe('opened')
  })

  test('what is no stanza or no context is refused item by item', async () => {
    const under = await startTestService({ keys: ['a'] })
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'], { context })
    const bytes = encodeStanza(stanza)
    const { keyId } = dataKey
    const answers = await unwrap(under, [
      { stanza: bytes.subarray(0, 21), keyId },
      { stanza: bytes.subarray(0, bytes.length - 1), keyId },
      { stanza: new Uint8Array([...bytes, 0]), keyId },
      { stanza: bytes, keyId, context: [['', 'x']] },
      { stanza: bytes, keyId, context: [['a', '\ud800']] },
      { stanza: bytes, keyId, context: [['a', 'x'.repeat(8200)]] },
      { stanza: bytes, keyId },
    ])
    const codes = answers.map((answer) => (answer instanceof ServiceError ? answer.code : 'opened'))
    expect(codes).toEqual([...Array.from({ length: 6 }, () => 'malformed_request'), 'opened'])
  })

  test('a long context is logged as its digest', async () => {
    const under = await startTestService({ keys: ['a'] })
    const long = { note: 'n'.repeat(2000) }
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'], { context: long })
    const given = { stanza: encodeStanza(stanza), keyId: dataKey.keyId, context: Object.entries(long) }
    expect(await codeOf(under, given)).toBe('opened')
    const entry = await lastEntry(under)
    expect(JSON.stringify(entry).length).toBeLessThan(600)
    expect(entry['items']).toMatchObject([
      { context_sha256: expect.stringMatching(/^[0-9a-f]{64}$/u) as string },
    ])
  })

  test('without its entry there is no answer, and the data key is wiped', async () => {
    const under = await startTestService({ keys: ['a'], auditDeadlineMs: 20 })
    const { dataKey, stanza } = await wrapFor(under.client(), ['a'], { context })
    const opened: Secret[] = []
    const take = vi.spyOn(Secret, 'take').mockImplementation((bytes) => {
      const secret = Secret.copyOf(bytes)
      opened.push(secret)
      return secret
    })
    onTestFinished(() => take.mockRestore())
    under.store.commit = () => new Promise(() => undefined)
    const given = { stanza: encodeStanza(stanza), keyId: dataKey.keyId }
    await expect(unwrap(under, [given])).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(opened).toHaveLength(1)
    expect(() => opened[0]?.use(() => undefined)).toThrow('wiped')
  })
})
