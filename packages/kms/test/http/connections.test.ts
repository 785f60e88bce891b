import { once } from 'node:events'

import { OpenAPIHono } from '@hono/zod-openapi'
import { describe, expect, onTestFinished, test } from 'vitest'

import type { Env, LogEntry } from '../../src/http/env.ts'
import { jsonBody } from '../../src/http/json-body.ts'
import { defaultLimits } from '../../src/http/limits.ts'
import type { ConnectionLimits } from '../../src/http/limits.ts'
import { listen } from '../../src/http/listen.ts'
import type { Listener } from '../../src/http/listen.ts'
import { frameRequests } from '../../src/http/request-frame.ts'
import type { Refusal } from '../../src/http/tls.ts'
import { allOf, answerTo, open } from '../support/sockets.ts'

interface Started {
  readonly listener: Listener
  readonly url: string
  readonly refused: Refusal[]
  readonly logged: LogEntry[]
  readonly drain: () => void
}

/** A server with the frame that every route has, and two routes that need no service. */
async function start(limits: Partial<ConnectionLimits> = {}, answer = async () => 'done'): Promise<Started> {
  const app = new OpenAPIHono<Env>()
  const refused: Refusal[] = []
  const logged: LogEntry[] = []
  let isDraining = false
  frameRequests(app, { log: (entry) => logged.push(entry), isDraining: () => isDraining })
  app.get('/v1/keys/:key', async (c) => c.json({ key: c.req.param('key'), answer: await answer() }))
  app.post('/v1/unwrap', jsonBody(1024), async (c) => c.json({ body: await c.req.json() }))
  const listener = await listen(app, {
    host: '127.0.0.1',
    port: 0,
    limits: { ...defaultLimits, ...limits },
    onRefused: (refusal) => refused.push(refusal),
  })
  onTestFinished(() => listener.close(0))
  return { listener, url: listener.url, refused, logged, drain: () => void (isDraining = true) }
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n`
const post = 'POST /v1/unwrap HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
const status = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /u.exec(answer)?.[1])

describe('somebody slow', () => {
  test('with his headers is told so and cut off', async () => {
    const { url, refused } = await start({ headersTimeoutMs: 50 })
    expect(status(await answerTo(url, 'GET /v1/keys/a HTTP/1.1\r\nHost: x\r\nX-Slow: '))).toBe(408)
    expect(refused).toEqual(['slow_request'])
  })

  test('with his body is told so and cut off, and nobody calls it an error of ours', async () => {
    const { url, refused, logged } = await start({ headersTimeoutMs: 50, requestTimeoutMs: 60 })
    expect(status(await answerTo(url, `${post}Content-Length: 20\r\n\r\n{"a":`))).toBe(408)
    const chunked = await answerTo(url, `${post}Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n`)
    expect(status(chunked)).toBe(408)
    expect(refused).toEqual(['slow_request', 'slow_request'])
    expect(logged.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('who sends nothing at all is cut off without a word', async () => {
    const { url } = await start({ idleTimeoutMs: 50 })
    expect(await answerTo(url, '')).toBe('')
  })

  test('who keeps a connection for later has it as long as is idle, and no longer', async () => {
    const { url } = await start({ idleTimeoutMs: 50 })
    const answer = await answerTo(url, 'GET /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(status(answer)).toBe(200)
  })
})

test('more connections than may be are closed as they come', async () => {
  const { url, refused, listener } = await start({ maxConnections: 2 })
  const [first, second] = [open(url), open(url)]
  for (const socket of [first, second]) {
    socket.write('GET /v1/keys/a HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
  }
  expect(listener.connections()).toBe(2)
  expect(await answerTo(url, get('/v1/keys/a'))).toBe('')
  expect(refused).toEqual(['too_many_connections'])
  const gone = once(first, 'close')
  first.end()
  await gone
  expect(status(await answerTo(url, get('/v1/keys/a')))).toBe(200)
  second.destroy()
})

describe('requests that two readers read in two ways', () => {
  test.each([
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    ['two lengths in one', 'Content-Length: 2, 2\r\n\r\n{}'],
    ['a length with a sign', 'Content-Length: +2\r\n\r\n{}'],
    ['a length that is hexadecimal', 'Content-Length: 0x2\r\n\r\n{}'],
    ['a length beside chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['chunks beside a length', 'Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n'],
    ['chunks that are not last', 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
    ['another encoding', 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['a space before the colon', 'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n'],
    ['a folded line', 'X-A: b\r\n Content-Length: 2\r\n\r\n{}'],
    ['a bare line feed', 'X-A: b\nContent-Length: 2\r\n\r\n{}'],
    ['a NUL', 'X-A: \0\r\n\r\n'],
    ['a chunk size with more in it', 'Transfer-Encoding: chunked\r\n\r\n2 x\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size without an end', 'Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n'],
  ])('%s: refused, and what follows is not read as a second request', async (_, rest) => {
    const { url, logged } = await start()
    const smuggled = 'GET /v1/keys/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    const answer = await answerTo(url, `${post}${rest}${smuggled}`)
    expect(status(answer)).toBe(400)
    expect(answer).not.toContain('smuggled')
    expect(logged.filter(({ method }) => method === 'GET')).toEqual([])
  })

  test('no host, or two of them', async () => {
    const { url } = await start()
    expect(status(await answerTo(url, 'GET /v1/keys/a HTTP/1.1\r\nConnection: close\r\n\r\n'))).toBe(400)
    const two = await answerTo(url, get('/v1/keys/a', 'Host: y\r\n'))
    expect([status(two), two]).toEqual([400, expect.stringContaining('more than one Host')])
  })
})

describe('a path as it comes', () => {
  test.each([
    '/v1/other/../keys/a',
    '/v1/./keys/a',
    '/../v1/keys/a',
    '/v1/keys/a/.',
    '/v1/keys/a/..',
    '//v1/keys/a',
    '/v1//keys/a',
    '/v1/keys/a/',
    '/v1/keys/%61',
    '/v1/keys/a%00',
    '/v1/other/%2e%2e/keys/a',
    '/v1%2fkeys/a',
    '/v1\\keys\\a',
    '/v1/keys/a;x',
    '/v1/keys/a#x',
    'http://x/v1/keys/a',
    'http://elsewhere/v1/keys/a',
    '*',
  ])('%s is no other spelling of a route', async (path) => {
    const { url } = await start()
    const answer = await answerTo(url, get(path))
    expect(status(answer), answer).toBe(400)
    expect(answer).not.toContain('"key":"a"')
  })

  test('in its one spelling is answered, with a query or without', async () => {
    const { url } = await start()
    for (const path of ['/v1/keys/a', '/v1/keys/a?b=%2f..//', '/v1/keys/a.b_c-d~e']) {
      expect(status(await answerTo(url, get(path))), path).toBe(200)
    }
  })
})

test('a compressed body is refused before a byte of it is unpacked', async () => {
  const { url } = await start()
  // 64 MiB of zeros in 64 KiB.
  const { gzipSync } = await import('node:zlib')
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
  for (const encoding of ['gzip', 'GZIP', 'deflate', 'br', 'identity, gzip']) {
    const response = await fetch(`${url}/v1/unwrap`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-encoding': encoding },
      body: bomb,
    })
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'malformed_request' }])
  }
})

describe('at the end', () => {
  test('what is under way is answered, what comes meanwhile is turned away, and then it is over', async () => {
    let finish: (answer: string) => void = () => undefined
    const { url, listener, drain, logged } = await start(
      {},
      () => new Promise((resolve) => (finish = resolve)),
    )
    // Open before the end begins, and silent until then.
    const late = open(url)
    await once(late, 'connect')
    const early = open(url)
    const whole = allOf(early, get('/v1/keys/a'))
    while (finish.length === 0) await new Promise((resolve) => setImmediate(resolve))
    drain()
    const turnedAway = await allOf(late, get('/v1/keys/b'))
    const closed = listener.close(60_000)
    expect([status(turnedAway), turnedAway]).toEqual([503, expect.stringContaining('"draining"')])
    expect(await answerTo(url, get('/v1/keys/c'))).toBe('')
    finish('answered')
    expect(await whole).toContain('"answer":"answered"')
    await closed
    expect(logged.map((entry) => entry.status)).toEqual([503, 200])
  })

  test('nobody holds it up for longer than he may', async () => {
    const { url, listener } = await start({}, () => new Promise(() => undefined))
    const asked = open(url)
    const silent = open(url)
    await Promise.all([once(asked, 'connect'), once(silent, 'connect')])
    const ended = Promise.all([allOf(asked, get('/v1/keys/a')), allOf(silent)])
    await listener.close(20)
    expect(await ended).toEqual(['', ''])
  })
})
