import { describe, expect, test } from 'vitest'

import { BodyBudget } from '../../src/http/body-budget.ts'
import { RateLimit } from '../../src/http/rate-limit.ts'
import { startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

const limited = expect.objectContaining({ code: 'rate_limited' }) as Error

describe('how often somebody may ask', () => {
  test('is a burst, then a steady rate, for each principal alone', () => {
    let now = 0
    const limit = new RateLimit({ requestsPerSecond: 10, burst: 3, now: () => now })
    for (let count = 0; count < 3; count++) limit.take('a')
    expect(() => limit.take('a')).toThrow(expect.objectContaining({ retryAfterSeconds: 1 }))
    limit.take('b')
    now += 99
    expect(() => limit.take('a')).toThrow(limited)
    now += 1
    limit.take('a')
    expect(() => limit.take('a')).toThrow(limited)
    now += 60_000
    for (let count = 0; count < 3; count++) limit.take('a')
    expect(() => limit.take('a')).toThrow(limited)
  })

  test('says after how long it makes sense to ask again', () => {
    const limit = new RateLimit({ requestsPerSecond: 0.1, burst: 1, now: () => 0 })
    limit.take('a')
    expect(() => limit.take('a')).toThrow(expect.objectContaining({ retryAfterSeconds: 10 }))
  })

  test('is kept for so many principals and no more', () => {
    const limit = new RateLimit({ requestsPerSecond: 10, burst: 1, maxPrincipals: 100, now: () => 0 })
    for (let index = 0; index < 1000; index++) limit.take(String(index))
    expect(limit.size).toBe(100)
    expect(() => limit.take('999')).toThrow(limited)
  })
})

describe('how much bodies may take together', () => {
  test('has a limit for all and one for each, and what is freed can be taken again', () => {
    const budget = new BodyBudget({ totalBytes: 100, principalBytes: 60 })
    const [a, b, more] = [budget.share('a'), budget.share('b'), budget.share('a')]
    a.take(50)
    a.take(10)
    expect(() => more.take(1)).toThrow(limited)
    b.take(40)
    expect(() => b.take(1)).toThrow(limited)
    a.free()
    a.free()
    expect(budget.held).toBe(40)
    more.take(60)
    more.free()
    b.free()
    expect(budget.held).toBe(0)
  })
})

async function ask(under: TestService, token: string, path: string, init: RequestInit = {}) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await under.app.request(path, { ...init, headers, duplex: 'half' } as RequestInit)
  const { code } = (await response.json()) as { code?: string }
  return { status: response.status, code, retryAfter: response.headers.get('retry-after') }
}

describe('the service', () => {
  test('turns away whoever asks too often, with 429 and Retry-After, and nobody else', async () => {
    const under = await startTestService({ limits: { rateLimit: { requestsPerSecond: 0.01, burst: 2 } } })
    const other = await under.token(['keys.list'])
    for (let count = 0; count < 2; count++) {
      expect(await ask(under, under.adminToken, '/v1/keys')).toMatchObject({ status: 200 })
    }
    expect(await ask(under, under.adminToken, '/v1/keys')).toEqual({
      status: 429,
      code: 'rate_limited',
      retryAfter: '100',
    })
    expect(await ask(under, other, '/v1/keys')).toMatchObject({ status: 200 })
  })

  test('counts all tokens of a principal together', async () => {
    const under = await startTestService({ limits: { rateLimit: { requestsPerSecond: 0.01, burst: 10 } } })
    const admin = under.client()
    await admin.access.createPrincipal('billing')
    await admin.access.createGrant({ principal: 'billing', permissions: ['keys.list'] })
    const make = () => admin.createToken({ name: 'x', principal: 'billing', permissions: ['keys.list'] })
    const [one, two] = [(await make()).token, (await make()).token]
    for (let count = 0; count < 5; count++) {
      for (const token of [one, two])
        expect(await ask(under, token, '/v1/keys')).toMatchObject({ status: 200 })
    }
    for (const token of [one, two]) expect(await ask(under, token, '/v1/keys')).toMatchObject({ status: 429 })
    expect(await ask(under, under.adminToken, '/v1/keys')).toMatchObject({ status: 200 })
  })

  test('writes nothing in the log for a request that comes too often', async () => {
    const under = await startTestService({ limits: { rateLimit: { requestsPerSecond: 0.01, burst: 1 } } })
    const token = await under.token(['keys.list'])
    expect(await ask(under, token, '/v1/keys/a')).toMatchObject({ status: 403 })
    const before = await under.verifyAudit()
    expect(await ask(under, token, '/v1/keys/a')).toMatchObject({ status: 429 })
    expect((await under.verifyAudit()).entries).toBe(before.entries)
  })

  test('takes bodies as long as there is room, and has it back when they are answered', async () => {
    const mebi = 1024 * 1024
    const limits = { bodyBudget: { totalBytes: 3 * mebi, principalBytes: 2 * mebi } }
    const under = await startTestService({ limits })
    const other = await under.token(['unwrap'])
    const release = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    // Arrives but for its end.
    const slow = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(1.5 * mebi).fill(0x20)),
      async pull(controller) {
        arrived.resolve()
        await release.promise
        controller.close()
      },
    })
    const first = ask(under, under.adminToken, '/v1/unwrap', { method: 'POST', body: slow })
    await arrived.promise
    const large = { method: 'POST', body: ' '.repeat(mebi) }
    expect(await ask(under, under.adminToken, '/v1/unwrap', large)).toMatchObject({ status: 429 })
    // Room for others is left, and here is no JSON.
    expect(await ask(under, other, '/v1/unwrap', large)).toMatchObject({ status: 400 })
    release.resolve()
    expect(await first).toMatchObject({ status: 400 })
    expect(await ask(under, under.adminToken, '/v1/unwrap', large)).toMatchObject({ status: 400 })
  })
})
