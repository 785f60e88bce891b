import { describe, expect, onTestFinished, test, vi } from 'vitest'

import { toBase64url } from '../../src/bytes.ts'
import { generateIdentity } from '../../src/keys/key-parsing.ts'
import { mlKem1024P384Suite } from '../../src/keys/suite-mlkem1024-p384.ts'
import { defaultSuite } from '../../src/keys/suite.ts'
import { KmsIdentity } from '../../src/kms/kms-identity.ts'
import { kmsRecipient } from '../../src/kms/kms-recipient.ts'
import { clientOf, echo, failureOf, itemsOf, problem, stanzaFor } from './fake-service.ts'
import type { Asked } from './fake-service.ts'

const dayMs = 86_400_000

describe('KmsIdentity', () => {
  const identity = generateIdentity()
  const ours = identity.recipientId

  function service(ids: () => readonly Uint8Array[], lifeMs = 86_400_000) {
    return clientOf((asked) => {
      if (asked.url.includes('/public-key')) {
        const issued = Date.now()
        return {
          key: 'a',
          version: 1,
          generation: 1,
          recipient: identity.recipient.toString(),
          recipient_ids: ids().map((id) => toBase64url(id)),
          issued_at: new Date(issued).toISOString(),
          not_after: new Date(issued + lifeMs).toISOString(),
        }
      }
      if (asked.url.includes('/v1/keys')) return { items: [{ key: 'a', enabled: true, purpose: 'wrap' }] }
      return echo(asked)
    })
  }
  const bundles = (asked: readonly Asked[]) => asked.filter((one) => one.url.includes('/public-key')).length

  test('owns what its bundles name, asked for once', async () => {
    const { client, asked } = service(() => [ours])
    const kms = new KmsIdentity(client, { keys: ['a'] })
    for (let i = 0; i < 5; i++) expect(await kms.owns(0x647a, ours)).toBe(true)
    expect(await kms.owns(0x0051, ours)).toBe(false)
    expect(asked.every((one) => one.url.endsWith('/v1/keys/a/public-key'))).toBe(true)
    expect(bundles(asked)).toBe(2)
  })

  test('asks again once for each id it does not know', async () => {
    const known = [ours]
    const { client, asked } = service(() => known)
    const kms = new KmsIdentity(client)
    const [later, foreign, other] = [5, 6, 7].map((fill) => new Uint8Array(16).fill(fill))
    if (later === undefined || foreign === undefined || other === undefined) throw new Error('no ids')
    await kms.owns(0x647a, ours)
    for (let i = 0; i < 3; i++) {
      expect(await kms.owns(0x647a, foreign)).toBe(false)
      expect(await kms.owns(0x647a, other)).toBe(false)
    }
    expect(bundles(asked)).toBe(3)
    known.push(later)
    expect(await kms.owns(0x647a, later)).toBe(true)
    expect(bundles(asked)).toBe(4)
  })

  test('asks again when its bundles are over', async () => {
    const { client, asked } = service(() => [ours], 1000)
    const kms = new KmsIdentity(client)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    await kms.owns(0x647a, ours)
    vi.advanceTimersByTime(999)
    await kms.owns(0x647a, ours)
    expect(bundles(asked)).toBe(1)
    vi.advanceTimersByTime(1)
    await kms.owns(0x647a, ours)
    expect(bundles(asked)).toBe(2)
  })

  describe('keeps data keys', () => {
    const [item = { stanza: stanzaFor(0), keyId: new Uint8Array(16) }] = itemsOf(1)
    const bound = { keyId: item.keyId, keyContext: [] as const }

    test('for the stated time and no longer, and gives copies of them', async () => {
      const { client, asked } = service(() => [ours])
      const kms = new KmsIdentity(client, { cacheMs: 1000 })
      vi.useFakeTimers({ toFake: ['Date'] })
      onTestFinished(() => void vi.useRealTimers())
      const first = await kms.unwrap(item.stanza, bound)
      first.wipe()
      vi.advanceTimersByTime(999)
      const second = await kms.unwrap(item.stanza, bound)
      expect(second.use((bytes) => bytes.length)).toBe(32)
      expect(asked).toHaveLength(1)
      vi.advanceTimersByTime(1)
      await kms.unwrap(item.stanza, bound)
      expect(asked).toHaveLength(2)
      vi.setSystemTime(Date.now() - 86_400_000)
      await kms.unwrap(item.stanza, bound)
      expect(asked).toHaveLength(3)
    })

    test('for the same stanza, key id and context alone', async () => {
      const { client, asked } = service(() => [ours])
      const kms = new KmsIdentity(client, { cacheMs: 60_000 })
      onTestFinished(() => kms.clearCache())
      await kms.unwrap(item.stanza, bound)
      await kms.unwrap(item.stanza, { ...bound, keyId: new Uint8Array(16).fill(9) })
      await kms.unwrap(item.stanza, { ...bound, keyContext: [['a', 'b']] })
      await kms.unwrap(stanzaFor(1), bound)
      expect(asked).toHaveLength(4)
      kms.clearCache()
      await kms.unwrap(item.stanza, bound)
      expect(asked).toHaveLength(5)
    })

    test('so many of them, and by default none', async () => {
      const { client, asked } = service(() => [ours])
      const kms = new KmsIdentity(client, { cacheMs: 60_000, cacheSize: 2 })
      onTestFinished(() => kms.clearCache())
      for (const fill of [1, 2, 3, 2, 1]) await kms.unwrap(stanzaFor(fill), bound)
      expect(asked).toHaveLength(4)
      const none = new KmsIdentity(client)
      for (const fill of [1, 1]) await none.unwrap(stanzaFor(fill), bound)
      expect(asked).toHaveLength(6)
    })

    test.each([
      { cacheMs: -1 },
      { cacheMs: 3_600_001 },
      { cacheMs: Number.NaN },
      { cacheSize: 0 },
      { cacheSize: 1.5 },
    ])('not with %j', (options) => {
      const { client } = service(() => [ours])
      expect(() => new KmsIdentity(client, options)).toThrow(expect.objectContaining({ code: 'bad_input' }))
    })
  })

  test('what is asked in one turn travels together', async () => {
    const { client, asked } = service(() => [ours])
    const kms = new KmsIdentity(client)
    const keys = await Promise.all(
      itemsOf(300).map(async ({ stanza, keyId }) => await kms.unwrap(stanza, { keyId, keyContext: [] })),
    )
    expect(asked).toHaveLength(1)
    expect(keys.map((key) => key.use((bytes) => bytes[0]))).toEqual(
      Array.from({ length: 300 }, (_, index) => index % 256),
    )
  })

  test('a service that is down is unavailable for all who wait, and asked again by the next', async () => {
    let isDown = true
    const { client } = clientOf((asked) => {
      if (isDown) throw new TypeError('fetch failed')
      return echo(asked)
    })
    const kms = new KmsIdentity(client)
    expect((await failureOf(kms.owns(0x647a, ours))).code).toBe('unavailable')
    const bound = { keyId: new Uint8Array(16), keyContext: [] }
    const waiting = [kms.unwrap(stanzaFor(1), bound), kms.unwrap(stanzaFor(2), bound)]
    for (const one of waiting) expect((await failureOf(one)).code).toBe('unavailable')
    isDown = false
    expect((await kms.unwrap(stanzaFor(1), bound)).length).toBe(32)
  })

  test('what one caller got wrong does not fail those who travel with him', async () => {
    const { client, asked } = service(() => [ours])
    const kms = new KmsIdentity(client)
    const keyId = new Uint8Array(16)
    const wrong = [
      kms.unwrap(stanzaFor(1), { keyId: new Uint8Array(15), keyContext: [] }),
      kms.unwrap(stanzaFor(1), { keyId, keyContext: [['\ud800', '']] }),
      kms.unwrap({ ...stanzaFor(1), payload: new Uint8Array(65_536) }, { keyId, keyContext: [] }),
    ]
    const right = kms.unwrap(stanzaFor(1), { keyId, keyContext: [] })
    for (const one of wrong) expect((await failureOf(one)).code).toMatch(/^bad_/u)
    expect((await right).length).toBe(32)
    expect(asked).toHaveLength(1)
  })

  test('a key that cannot be asked for does not stand in the way of another, and is asked for again', async () => {
    const other = generateIdentity()
    let isDown = true
    const { client } = clientOf(({ url: at }) => {
      if (at.includes('/b/') && isDown) return problem(503, 'integrity_violation')
      const { recipient, recipientId } = at.includes('/b/') ? other : identity
      return {
        recipient: recipient.toString(),
        recipient_ids: [toBase64url(recipientId)],
        key: 'a',
        version: 1,
        generation: 1,
        issued_at: new Date().toISOString(),
        not_after: new Date(Date.now() + dayMs).toISOString(),
      }
    })
    const kms = new KmsIdentity(client, { keys: ['a', 'b'] })
    expect(await kms.owns(0x647a, ours)).toBe(true)
    // Perhaps it is of b: not to be called foreign.
    expect((await failureOf(kms.owns(0x647a, other.recipientId))).code).toBe('unavailable')
    isDown = false
    expect(await kms.owns(0x647a, other.recipientId)).toBe(true)
  })

  test('a key that is not there is said so, whatever the others answer', async () => {
    const { client } = clientOf(({ url: at }) =>
      at.includes('/typo/')
        ? problem(404, 'not_found')
        : {
            recipient: identity.recipient.toString(),
            recipient_ids: [toBase64url(ours)],
            key: 'a',
            version: 1,
            generation: 1,
            issued_at: new Date().toISOString(),
            not_after: new Date(Date.now() + dayMs).toISOString(),
          },
    )
    const kms = new KmsIdentity(client, { keys: ['a', 'typo'] })
    const error = await failureOf(kms.owns(0x647a, ours))
    expect(error).toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining('no key typo') as string,
    })
  })

  test('an id that was not ours is looked up again after a minute: a version may be switched on again', async () => {
    const known = [ours]
    const { client, asked } = service(() => known)
    const kms = new KmsIdentity(client, { keys: ['a'] })
    const again = new Uint8Array(16).fill(5)
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    expect(await kms.owns(0x647a, again)).toBe(false)
    known.push(again)
    expect(await kms.owns(0x647a, again)).toBe(false)
    expect(bundles(asked)).toBe(1)
    vi.advanceTimersByTime(60_001)
    expect(await kms.owns(0x647a, again)).toBe(true)
  })

  test('no bundle is good for more than a day', async () => {
    const { client, asked } = service(() => [ours], 1000 * 86_400_000)
    const kms = new KmsIdentity(client, { keys: ['a'] })
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    expect(await kms.owns(0x647a, ours)).toBe(true)
    vi.advanceTimersByTime(86_400_001)
    expect(await kms.owns(0x647a, ours)).toBe(true)
    expect(bundles(asked)).toBe(2)
  })

  test('a bundle that contradicts itself is not believed', async () => {
    const { client } = service(() => [new Uint8Array(16)])
    expect((await failureOf(kmsRecipient(client, 'a'))).code).toBe('unavailable')
    const short = service(() => [ours, new Uint8Array(15)])
    expect((await failureOf(kmsRecipient(short.client, 'a'))).code).toBe('unavailable')
    const right = service(() => [ours])
    expect((await kmsRecipient(right.client, 'a')).recipientId).toEqual(ours)
  })

  test('takes no option it does not know', () => {
    const { client } = service(() => [ours])
    expect(() => new KmsIdentity(client, { key: 'a' } as object)).toThrow(/unknown option/u)
  })
})

describe('keys of the second suite', () => {
  const suites = [defaultSuite, mlKem1024P384Suite]
  const keys = new Map([
    ['first', generateIdentity()],
    ['second', generateIdentity({ suite: mlKem1024P384Suite })],
  ])
  const idOf = (key: string): Uint8Array => keys.get(key)?.recipientId ?? new Uint8Array()

  const service = () =>
    clientOf(({ url }) => {
      const key = /keys\/(\w+)\/public-key/u.exec(url)?.[1] ?? ''
      const identity = keys.get(key)
      if (identity === undefined)
        return { items: [...keys.keys()].map((one) => ({ key: one, enabled: true, purpose: 'wrap' })) }
      return {
        key,
        version: 1,
        generation: 1,
        recipient: identity.recipient.toString(),
        recipient_ids: [toBase64url(identity.recipientId)],
        issued_at: new Date().toISOString(),
        not_after: new Date(Date.now() + dayMs).toISOString(),
      }
    }).client

  test('are recipients for whoever names it', async () => {
    const recipient = await kmsRecipient(service(), 'second', { suites })
    expect([recipient.kemId, recipient.recipientId]).toEqual([0x0051, idOf('second')])
    const failure = await failureOf(kmsRecipient(service(), 'second'))
    expect([failure.code, failure.hint]).toEqual(['unsupported', expect.stringContaining('suites')])
    expect((await failureOf(kmsRecipient(service(), 'second', { suites: [] }))).code).toBe('bad_input')
  })

  test('are owned with the others', async () => {
    const kms = new KmsIdentity(service(), { suites })
    expect(await kms.owns(0x647a, idOf('first'))).toBe(true)
    expect(await kms.owns(0x0051, idOf('second'))).toBe(true)
    expect(await kms.owns(0x647a, idOf('second'))).toBe(false)
  })

  test('do not stand in the way of the others', async () => {
    const kms = new KmsIdentity(service())
    expect(await kms.owns(0x647a, idOf('first'))).toBe(true)
    expect(await kms.owns(0x0051, idOf('second'))).toBe(false)
  })

  test('are an error where they are named and the suite is not', async () => {
    const kms = new KmsIdentity(service(), { keys: ['first', 'second'] })
    expect((await failureOf(kms.owns(0x647a, idOf('first')))).code).toBe('unsupported')
    expect(() => new KmsIdentity(service(), { suites: [] })).toThrow(/suites/u)
  })
})
