import { describe, expect, test } from 'vitest'

import { Idempotency } from '../../src/http/idempotency.ts'
import { startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

interface Sent {
  path?: string
  method?: string
  key?: string
  token?: string
  body?: unknown
  headers?: Record<string, string>
}

async function send(under: TestService, { path = '/v1/keys', method = 'POST', ...sent }: Sent) {
  const headers = {
    authorization: `Bearer ${sent.token ?? under.adminToken}`,
    'content-type': 'application/json',
    ...(sent.key === undefined ? {} : { 'idempotency-key': sent.key }),
    ...sent.headers,
  }
  const body = sent.body === undefined ? null : JSON.stringify(sent.body)
  const response = await under.app.request(path, { method, headers, body })
  const text = await response.text()
  return {
    status: response.status,
    text,
    code: text === '' ? undefined : (JSON.parse(text) as { code?: string }).code,
    etag: response.headers.get('etag'),
    isReplay: response.headers.get('idempotent-replay') === 'true',
  }
}

describe('a change that is sent again under its key', () => {
  test('gets the answer of the first time, and happens once', async () => {
    const under = await startTestService({ keys: ['a'] })
    const rotation = { path: '/v1/keys/a/rotate', key: 'k1' }
    const first = await send(under, rotation)
    const second = await send(under, rotation)
    expect(first).toMatchObject({ status: 200, isReplay: false, etag: '"2"' })
    expect(second).toEqual({ ...first, isReplay: true })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 2 })
    expect(await send(under, { ...rotation, key: 'k2' })).toMatchObject({ status: 200, isReplay: false })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 3 })
  })

  test('keeps its status, also without a body', async () => {
    const under = await startTestService({ keys: ['a'] })
    await under.service.life.aliases.put(under.admin, 'now', 'a')
    const removal = { path: '/v1/aliases/now', method: 'DELETE', key: 'k' }
    expect(await send(under, removal)).toMatchObject({ status: 204, text: '', isReplay: false })
    expect(await send(under, removal)).toMatchObject({ status: 204, text: '', isReplay: true })
    expect(await send(under, { ...removal, key: 'other' })).toMatchObject({ status: 404 })
  })

  test('that made a secret does not get it again', async () => {
    const under = await startTestService()
    const creation = { path: '/v1/tokens', key: 'k', body: { name: 'x', permissions: ['wrap'], keys: [] } }
    const first = await send(under, creation)
    expect(first).toMatchObject({ status: 201 })
    const second = await send(under, creation)
    expect(second).toMatchObject({ status: 409, code: 'already_done' })
    expect(second.text).not.toContain('lhk_')
    expect((await under.client().listTokens()).filter(({ name }) => name === 'x')).toHaveLength(1)
  })

  test.each<[string, Sent]>([
    ['another body', { body: { key: 'c' } }],
    ['another path', { path: '/v1/keys/b/rotate' }],
    ['another expectation', { path: '/v1/keys/a/rotate', headers: { 'if-match': '"1"' } }],
  ])('with %s is refused', async (_, other) => {
    const under = await startTestService({ keys: ['a', 'b'] })
    const isRotation = other.path !== undefined
    const first = isRotation ? { path: '/v1/keys/a/rotate', key: 'k' } : { key: 'k', body: { key: 'x' } }
    expect((await send(under, first)).status).toBeLessThan(300)
    const before = await under.client().listKeys()
    expect(await send(under, { ...first, ...other })).toMatchObject({
      status: 422,
      code: 'idempotency_key_reused',
    })
    expect(await under.client().listKeys()).toEqual(before)
  })

  test('while the first one is under way is told so', async () => {
    const under = await startTestService({ keys: ['a'] })
    const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
    const answers = await Promise.all([send(under, rotation), send(under, rotation), send(under, rotation)])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409])
    expect(answers.find(({ status }) => status === 409)).toMatchObject({ code: 'idempotency_in_progress' })
    expect(await under.client().getKey('a')).toMatchObject({ primary_version: 2 })
  })

  test('by somebody else, or on another route, is another change', async () => {
    const under = await startTestService({ keys: ['a'] })
    const token = await under.token(['keys.rotate'])
    const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
    expect(await send(under, { ...rotation, token })).toMatchObject({ status: 200, isReplay: false })
    expect(await send(under, { key: 'k', body: { key: 'b' } })).toMatchObject({ status: 201 })
  })

  test('that was refused is tried again', async () => {
    const under = await startTestService()
    const rotation = { path: '/v1/keys/a/rotate', key: 'k' }
    expect(await send(under, rotation)).toMatchObject({ status: 404 })
    await under.client().createKey({ key: 'a' })
    expect(await send(under, rotation)).toMatchObject({ status: 200, isReplay: false })
  })

  test('after the token was revoked gets nothing', async () => {
    const under = await startTestService({ keys: ['a'] })
    const token = await under.token(['keys.rotate'])
    const rotation = { path: '/v1/keys/a/rotate', key: 'k', token }
    expect(await send(under, rotation)).toMatchObject({ status: 200 })
    await under.client().revokeToken(token.split('_')[1] ?? '')
    expect(await send(under, rotation)).toMatchObject({ status: 401 })
  })

  test.each(['', 'a b', 'ü', 'x'.repeat(129)])('under the key %j is refused', async (key) => {
    const under = await startTestService()
    expect(await send(under, { key, body: { key: 'a' } })).toMatchObject({ status: 400 })
  })
})

describe('what is kept', () => {
  const answer = (body: string) => ({ status: 200, headers: [], body })

  test('is forgotten after its time, and not before', () => {
    let now = 0
    const kept = new Idempotency({ lifeMs: 1000, now: () => now })
    kept.begin('a', 'a 1', 'request')
    kept.finish('a 1', answer('first'))
    now = 999
    expect(kept.begin('a', 'a 1', 'request')).toEqual(answer('first'))
    now = 1000
    expect(kept.begin('a', 'a 1', 'request')).toBeUndefined()
  })

  test('is never forgotten to make room: new keys are refused until some expire', () => {
    let now = 0
    const kept = new Idempotency({ lifeMs: 1000, maxKeys: 3, maxKeysOfOne: 2, now: () => now })
    for (const name of ['1', '2']) {
      kept.begin('a', name, 'request')
      kept.finish(name, answer(name))
    }
    expect(() => kept.begin('a', '3', 'request')).toThrow(
      expect.objectContaining({ code: 'rate_limited', retryAfterSeconds: 1 }),
    )
    kept.begin('b', '3', 'request')
    expect(() => kept.begin('c', '4', 'request')).toThrow(expect.objectContaining({ code: 'rate_limited' }))
    expect(kept.begin('a', '1', 'request')).toEqual(answer('1'))
    kept.forget('3')
    expect(kept.begin('c', '4', 'request')).toBeUndefined()
    now = 1000
    expect(kept.begin('a', '3', 'request')).toBeUndefined()
  })

  test('takes bounded memory: of the oldest only that it was done is known then', () => {
    const kept = new Idempotency({ maxBytes: 100 })
    for (const name of ['1', '2', '3']) {
      kept.begin('a', name, 'request')
      kept.finish(name, answer('x'.repeat(40)))
    }
    expect(() => kept.begin('a', '1', 'request')).toThrow(expect.objectContaining({ code: 'already_done' }))
    expect(kept.begin('a', '3', 'request')).toMatchObject({ status: 200 })
  })
})
