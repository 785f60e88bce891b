import { describe, expect, test } from 'vitest'

import { checkJsonText } from '../../src/http/json-body.ts'
import { startTestService } from '../support/service.ts'
import type { TestService } from '../support/service.ts'

interface Answer {
  status: number
  code: string | undefined
  detail: string
  headers: Headers
}

async function ask(under: TestService, path: string, init: RequestInit = {}): Promise<Answer> {
  const headers = new Headers(init.headers)
  if (!headers.has('authorization')) headers.set('authorization', `Bearer ${under.adminToken}`)
  const response = await under.app.request(path, { ...init, headers })
  const text = await response.text()
  const body = (text === '' ? {} : JSON.parse(text)) as { code?: string; detail?: string }
  return { status: response.status, code: body.code, detail: body.detail ?? '', headers: response.headers }
}

function post(under: TestService, path: string, body: BodyInit, headers: Record<string, string> = {}) {
  return ask(under, path, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  })
}

describe('an answer', () => {
  test('carries request id and no-store, and problems are problem details', async () => {
    const under = await startTestService()
    const good = await ask(under, '/v1/keys')
    expect(good.status).toBe(200)
    const bad = await ask(under, '/v1/nothing', { headers: { 'x-request-id': 'mine-1' } })
    expect(bad).toMatchObject({ status: 404, code: 'not_found' })
    expect(bad.headers.get('content-type')).toBe('application/problem+json')
    expect(bad.headers.get('x-request-id')).toBe('mine-1')
    for (const { headers } of [good, bad]) {
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
    }
    expect(good.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/u)
  })

  test('does not repeat a request id that could forge a log line', async () => {
    const under = await startTestService()
    const { headers } = await ask(under, '/v1/keys', { headers: { 'x-request-id': 'a b{"level":"x"}' } })
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/u)
  })

  test('that is a 401 says how, and the same for every cause', async () => {
    const under = await startTestService()
    const answers = []
    for (const authorization of ['', 'Bearer', 'Bearer x', `Basic ${under.adminToken}`, under.adminToken]) {
      answers.push(await ask(under, '/v1/keys', { headers: { authorization, 'x-request-id': 'r' } }))
    }
    // A token in the address is no token.
    answers.push(
      await ask(under, `/v1/keys?access_token=${under.adminToken}`, {
        headers: { authorization: 'none', 'x-request-id': 'r' },
      }),
    )
    for (const { status, code, detail, headers } of answers) {
      expect({ status, code, detail }).toEqual({
        status: 401,
        code: 'unauthenticated',
        detail: answers[0]?.detail,
      })
      expect(headers.get('www-authenticate')).toBe('Bearer realm="longhold-kms"')
    }
  })

  test('to what nobody foresaw is 500 with nothing but a request id; the log has no text of it either', async () => {
    const under = await startTestService({ keys: ['a'] })
    under.store.row = async () => {
      throw new TypeError('CANARY-TEXT')
    }
    const answer = await ask(under, '/v1/keys/a')
    expect(answer).toMatchObject({ status: 500, code: 'internal' })
    const logged = JSON.stringify(under.logged)
    expect(answer.detail + logged).not.toContain('CANARY-TEXT')
    expect(under.logged).toContainEqual(
      expect.objectContaining({
        level: 'error',
        code: 'TypeError',
        where: expect.stringContaining('requests.test'),
      }),
    )
  })
})

describe('a body', () => {
  test.each<[string, BodyInit, Record<string, string>, string]>([
    ['that is no JSON', 'key=a', {}, 'malformed_request'],
    ['that is empty', '', {}, 'malformed_request'],
    ['that is cut short', '{"key":"b"', {}, 'malformed_request'],
    ['with something after it', '{"key":"b"}{}', {}, 'malformed_request'],
    ['that is no object', '[]', {}, 'malformed_request'],
    ['that is null', 'null', {}, 'malformed_request'],
    ['with an unknown field', '{"key":"b","kye":1}', {}, 'unknown_field'],
    ['with __proto__', '{"key":"b","__proto__":{"x":1}}', {}, 'unknown_field'],
    ['with a field twice', '{"key":"b","key":"c"}', {}, 'malformed_request'],
    ['with a field twice, one escaped', '{"key":"b","\\u006bey":"c"}', {}, 'malformed_request'],
    ['nested too deep', `{"key":${'['.repeat(5000)}${']'.repeat(5000)}}`, {}, 'malformed_request'],
    ['of another type', '{"key":"b"}', { 'content-type': 'text/plain' }, 'malformed_request'],
    ['of no type', new Blob(['{"key":"b"}']), { 'content-type': '' }, 'malformed_request'],
    ['of a form', 'key=b', { 'content-type': 'application/x-www-form-urlencoded' }, 'malformed_request'],
    ['that is compressed', '{"key":"b"}', { 'content-encoding': 'gzip' }, 'malformed_request'],
    ['that is not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), {}, 'malformed_request'],
    ['with a byte order mark', '\ufeff{"key":"b"}', {}, 'malformed_request'],
    ['with a name in upper case', '{"key":"B"}', {}, 'malformed_request'],
    ['with a name that climbs', '{"key":".."}', {}, 'malformed_request'],
    ['with a name with a slash', '{"key":"a/b"}', {}, 'malformed_request'],
    ['with a name with NUL', '{"key":"a\\u0000"}', {}, 'malformed_request'],
    ['with a name of 65', `{"key":"${'a'.repeat(65)}"}`, {}, 'malformed_request'],
    ['with a number for a name', '{"key":1}', {}, 'malformed_request'],
  ])('%s is refused', async (_, body, headers, code) => {
    const under = await startTestService()
    expect(await post(under, '/v1/keys', body, headers)).toMatchObject({ status: 400, code })
    expect(await under.client().listKeys()).toEqual([])
  })

  test('above the limit of its route is refused, whether its length is said or not', async () => {
    const under = await startTestService()
    const large = JSON.stringify({ key: 'b', rewrap_to: ['x'.repeat(70_000)] })
    expect(await post(under, '/v1/keys', large)).toMatchObject({ status: 413, code: 'body_too_large' })
    const said = { 'content-length': String(large.length) }
    expect(await post(under, '/v1/keys', large, said)).toMatchObject({ status: 413, code: 'body_too_large' })
    expect(await post(under, '/v1/unwrap', 'x'.repeat(8 * 1024 * 1024 + 1))).toMatchObject({ status: 413 })
    expect(await post(under, '/v1/unwrap', 'x'.repeat(8 * 1024 * 1024))).toMatchObject({ status: 400 })
  })

  test('for a route that takes none is refused', async () => {
    const under = await startTestService({ keys: ['a'] })
    expect(await post(under, '/v1/keys/a/versions/1/restore', '{}')).toMatchObject({
      status: 400,
      code: 'malformed_request',
    })
    expect(await ask(under, '/v1/keys/a/rotate', { method: 'POST' })).toMatchObject({ status: 200 })
  })

  test('with too many items, none, or two of one name', async () => {
    const under = await startTestService()
    const item = (id: string) => ({ id, key_id: 'A'.repeat(22), stanza: 'AAAA', context: {} })
    const items = (count: number) => ({
      items: Array.from({ length: count }, (_, index) => item(`${index}`)),
    })
    const send = (body: unknown) => post(under, '/v1/unwrap', JSON.stringify(body))
    expect(await send(items(1001))).toMatchObject({ status: 413, code: 'too_many_items' })
    expect(await send(items(0))).toMatchObject({ status: 400, code: 'malformed_request' })
    expect(await send({ items: [item('x'), item('x')] })).toMatchObject({
      status: 400,
      code: 'malformed_request',
    })
    expect(await send(items(1000))).toMatchObject({ status: 200 })
    const nested = { ...item('x'), extra: 1 }
    expect(await send({ items: [nested] })).toMatchObject({
      code: 'unknown_field',
      detail: 'unknown: items.0.extra',
    })
  })

  test.each([
    ['padded', `${'A'.repeat(22)}==`],
    ['of the other alphabet', `${'A'.repeat(21)}+`],
    ['with low bits', `${'A'.repeat(21)}B`],
    ['too short', 'A'.repeat(21)],
  ])('with base64url that is %s is refused', async (_, keyId) => {
    const under = await startTestService()
    const body = { items: [{ id: '1', key_id: keyId, stanza: 'AAAA', context: {} }] }
    expect(await post(under, '/v1/unwrap', JSON.stringify(body))).toMatchObject({
      status: 400,
      code: 'malformed_request',
    })
  })

  test.each(['[]', '[["a","b"]]', '"a"', 'null', '{"a":1}', '{"a":{}}'])(
    'with the context %s is refused',
    async (context) => {
      const under = await startTestService()
      const body = `{"items":[{"id":"1","key_id":"${'A'.repeat(22)}","stanza":"AAAA","context":${context}}]}`
      expect(await post(under, '/v1/unwrap', body)).toMatchObject({ status: 400, code: 'malformed_request' })
    },
  )
})

describe('JSON that JSON.parse is silent about', () => {
  test.each([
    '{"a":1,"a":2}',
    '{"a":{"b":1,"b":1}}',
    '[{"a":1},{"a":1,"b":[{"c":1,"c":2}]}]',
    '{"a\\u0062":1,"ab":2}',
    '{"a" : 1 , "a"\n: 2}',
    '{"__proto__":1,"__proto__":2}',
    '{"\\"":1,"\\"":2}',
  ])('%s names a field twice', (text) => {
    expect(() => checkJsonText(text)).toThrow(/twice/u)
  })

  test.each([
    '{"a":"a","b":"a"}',
    '[{"a":1},{"a":1}]',
    '{"a":{"a":{"a":1}}}',
    '{"a":"{\\"a\\":1,\\"a\\":2}"}',
    '{"a":["a","a"],"b":"\\\\"}',
    '{"\\\\":1,"\\"":2}',
    '"a"',
    '[]',
    '',
    '}}]]',
    '{"a',
    `${'['.repeat(16)}${']'.repeat(16)}`,
  ])('%s does not', (text) => {
    expect(() => checkJsonText(text)).not.toThrow()
  })

  test('more names or values than any route takes are refused before they are built', () => {
    const named = (count: number) =>
      `{${Array.from({ length: count }, (_, index) => `"${index}":1`).join(',')}}`
    expect(() => checkJsonText(named(256))).not.toThrow()
    expect(() => checkJsonText(named(257))).toThrow(/more than 256 names/u)
    expect(() => checkJsonText(`[${'1,'.repeat(250_000)}1]`)).not.toThrow()
    expect(() => checkJsonText(`[${'1,'.repeat(250_001)}1]`)).toThrow(/more than 250000 values/u)
  })

  test('seventeen levels are too deep', () => {
    expect(() => checkJsonText('['.repeat(17))).toThrow(/deeper than 16/u)
  })
})

describe('a path', () => {
  test.each([
    '/v1/keys/a/',
    '/v1//keys/a',
    '//v1/keys/a',
    '/V1/keys/a',
    '/v1/Keys/a',
    '/v1/keys/A',
    '/v1/keys/a%00',
    '/v1/keys/%2e%2e/a',
    '/v1/keys/a%2frotate',
    '/v1/keys/a%2Fversions',
    '/v1/keys/..%2fa',
    '/v1/keys/a;x=1',
    '/v1/keys/a%',
    '/v1/keys/a.json',
    '/v1/keys/%61%2f',
    '/v1/keys/ａ',
    '/v2/keys',
    '/',
    '/v1/keys/a/versions/0',
    '/v1/keys/a/versions/1e0',
    '/v1/keys/a/versions/-1',
    '/v1/tokens/x',
  ])('%s names nothing', async (path) => {
    const under = await startTestService({ keys: ['a'] })
    for (const method of ['GET', 'POST', 'DELETE', 'PATCH']) {
      const answer = await ask(under, path, { method, headers: { 'content-type': 'application/json' } })
      // 428: a name that a key could have.
      expect([400, 404, 428], `${method} ${answer.status}`).toContain(answer.status)
    }
    expect(await under.client().getKey('a')).toMatchObject({ generation: 1 })
  })

  test('has the methods of its table only, whatever a header says', async () => {
    const under = await startTestService({ keys: ['a'] })
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'POST']) {
      expect(await ask(under, '/v1/keys/a', { method }), method).toMatchObject({ status: 404 })
    }
    const overridden = { 'x-http-method-override': 'POST', 'x-method-override': 'POST' }
    expect(await ask(under, '/v1/keys/a/rotate', { headers: overridden })).toMatchObject({ status: 404 })
    const head = await under.app.request('/v1/keys/a', { method: 'HEAD' })
    expect(head.status).toBe(401)
  })

  test.each(['?limit=0', '?limit=1001', '?limit=x', '?limit=1&limit=2', '?cursor=*', '?cursor=A', '?x=1'])(
    '/v1/keys%s is refused',
    async (query) => {
      const under = await startTestService()
      expect(await ask(under, `/v1/keys${query}`)).toMatchObject({ status: 400 })
    },
  )
})

test.each(['YQ', '', 'MS4x', 'LTE'])('versions after the cursor %j are refused', async (cursor) => {
  const under = await startTestService({ keys: ['a'] })
  expect(await ask(under, `/v1/keys/a/versions?cursor=${cursor}`)).toMatchObject({ status: 400 })
})

describe('lists', () => {
  test('come a page at a time until all are seen', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const under = await startTestService({ keys: names })
    const seen: string[] = []
    let query = '?limit=2'
    for (let pages = 0; pages < 5; pages++) {
      const headers = { authorization: `Bearer ${under.adminToken}` }
      const response = await under.app.request(`/v1/keys${query}`, { headers })
      const page = (await response.json()) as { items: { key: string }[]; next_cursor?: string }
      seen.push(...page.items.map(({ key }) => key))
      if (page.next_cursor === undefined) break
      query = `?limit=2&cursor=${page.next_cursor}`
    }
    expect(seen).toEqual(names)
  })
})

describe('health', () => {
  test('is for everybody, and says so while it drains', async () => {
    const under = await startTestService()
    for (const path of ['/livez', '/readyz']) {
      const response = await under.app.request(path)
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
    }
    under.drain()
    expect((await under.app.request('/livez')).status).toBe(200)
    expect(await ask(under, '/readyz')).toMatchObject({ status: 503, code: 'draining' })
    const refused = await ask(under, '/v1/keys')
    expect(refused).toMatchObject({ status: 503, code: 'draining' })
    expect(refused.headers.get('connection')).toBe('close')
  })

  test('says when the storage is gone', async () => {
    const { ServiceError } = await import('../../src/service/errors.ts')
    const under = await startTestService()
    under.store.head = async () => {
      throw new ServiceError('storage_unavailable', 'gone')
    }
    expect(await ask(under, '/readyz')).toMatchObject({ status: 503, code: 'storage_unavailable' })
  })
})

describe('the log', () => {
  test('has one line for each request: pattern, status, time and who, never path or token', async () => {
    const under = await startTestService({ keys: ['secret-project'] })
    await ask(under, '/v1/keys/secret-project?x=1', { headers: { 'x-request-id': 'r1' } })
    await ask(under, '/v1/keys/secret-project', { headers: { 'x-request-id': 'r2' } })
    const line = under.logged.find(({ requestId }) => requestId === 'r2')
    expect(line).toMatchObject({
      level: 'info',
      message: 'request',
      method: 'GET',
      route: '/v1/keys/:key',
      status: 200,
      principal: under.admin.principal.token,
    })
    expect(JSON.stringify(under.logged)).not.toMatch(/secret-project|lhk_/u)
  })
})
