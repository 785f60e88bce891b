import { inspect as show } from 'node:util'

import { describe, expect, test } from 'vitest'

import { toBase64url } from '../../src/bytes.ts'
import { KmsClient } from '../../src/kms/client.ts'
import { clientOf, echo, failureOf, itemsOf, problem, stanzaFor, token, url } from './fake-service.ts'
import type { Sent } from './fake-service.ts'

describe('the address', () => {
  test.each([
    'http://127.0.0.1:8420',
    'http://127.9.9.9',
    'http://localhost:1/',
    'http://[::1]:8420',
    'https://kms.example',
    'https://kms.example/base/path/',
  ])('%s is taken', (text) => {
    expect(new KmsClient({ url: text, token }).url).toBe(new URL(text).href.replace(/\/+$/u, ''))
  })

  test.each([
    'http://kms.example',
    'http://10.0.0.1:8420',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://0.0.0.0',
    'http://[::]',
    'ftp://127.0.0.1',
    'unix:/run/kms',
    'https://user:secret@kms.example',
    'https://kms.example/?token=x',
    'https://kms.example/#x',
    'kms.example:8420',
    '',
  ])('%s is refused', (text) => {
    expect(() => new KmsClient({ url: text, token })).toThrow(expect.objectContaining({ code: 'bad_input' }))
  })
})

describe('the token', () => {
  test.each(['', 'lhk_', `${token} `, `${token}\n`, token.slice(1), token.toUpperCase()])(
    '%j is refused and not repeated',
    (text) => {
      const make = () => new KmsClient({ url, token: text })
      expect(make).toThrow(expect.objectContaining({ code: 'bad_input' }))
      expect(make).not.toThrow(/S3CRET/iu)
    },
  )

  test('goes into one header, and is not shown with the client or its errors', async () => {
    const { client, asked } = clientOf(() => problem(401, 'unauthenticated'))
    const error = await failureOf(client.listKeys())
    expect(new Headers(asked[0]?.init.headers).get('authorization')).toBe(`Bearer ${token}`)
    expect(asked[0]?.url).not.toContain('S3CRET')
    const everything = [show(client, { depth: 9 }), JSON.stringify(client), show(error, { depth: 9 })].join()
    expect(everything).not.toContain('S3CRET')
  })

  test('does not follow a redirect', async () => {
    const { client, asked } = clientOf(() => ({ items: [] }))
    await client.listKeys()
    expect(asked[0]?.init).toMatchObject({ redirect: 'error', credentials: 'omit', cache: 'no-store' })
  })
})

test.each([
  { url, token, tokenn: 1 },
  { url, token, timeoutMs: 0 },
  { url, token, timeoutMs: Number.NaN },
  { url, token, timeoutMs: 2 ** 31 },
])('options that cannot be meant are refused', (options) => {
  expect(() => new KmsClient(options)).toThrow(expect.objectContaining({ code: 'bad_input' }))
})

describe('an answer that is a problem', () => {
  test.each<[number, string, string, RegExp]>([
    [401, 'unauthenticated', 'unavailable', /expired or revoked/u],
    [403, 'permission_denied', 'unavailable', /permission/u],
    [404, 'not_found', 'bad_input', /^$/u],
    [409, 'invalid_state', 'bad_input', /^$/u],
    [400, 'malformed_request', 'bad_input', /^$/u],
    [413, 'body_too_large', 'bad_input', /^$/u],
    [429, 'rate_limited', 'unavailable', /wait/u],
    [500, 'internal', 'unavailable', /log/u],
    [503, 'draining', 'unavailable', /in a moment/u],
    [503, 'audit_unavailable', 'unavailable', /disk/u],
    [503, 'storage_unavailable', 'unavailable', /disk/u],
    [503, 'integrity_violation', 'unavailable', /altered or damaged/u],
    [503, 'something_new', 'unavailable', /log/u],
  ])('%i %s is %s', async (status, code, expected, hint) => {
    const { client } = clientOf(() => problem(status, code))
    const error = await failureOf(client.getKey('payments'))
    expect(error.code).toBe(expected)
    expect(error.hint ?? '').toMatch(hint)
    expect(error.message).toContain(url)
  })

  test('names the key that is not there', async () => {
    const { client } = clientOf(() => problem(404, 'not_found'))
    for (const asking of [
      client.getKey('payments'),
      client.rotateKey('payments'),
      client.publicKey('payments'),
    ]) {
      expect((await failureOf(asking)).message).toContain('has no key payments')
    }
  })

  test.each([
    ['that is no JSON', () => new Response('<html>nginx</html>', { status: 200 })],
    ['of a proxy', () => new Response('<html>bad gateway</html>', { status: 502 })],
    ['that is JSON of somebody else', () => ({ hello: 'world' })],
    ['that is null', () => Response.json(null)],
    ['with no problem in it', () => Response.json('no', { status: 418 })],
  ])('%s is unavailable', async (_, answer) => {
    const { client } = clientOf(answer)
    expect((await failureOf(client.listKeys())).code).toBe('unavailable')
  })

  test('without an answer is unavailable, and says what to look at', async () => {
    const { client } = clientOf(() => {
      throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') })
    })
    const error = await failureOf(client.listKeys())
    expect(error).toMatchObject({ code: 'unavailable', hint: expect.stringContaining('running') as string })
    expect(error.cause).toBeInstanceOf(TypeError)
  })

  test('too late is unavailable, and the request is given up', async () => {
    let given: AbortSignal | undefined
    const { client } = clientOf(
      (_, signal) => {
        given = signal
        return new Promise((__, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
        })
      },
      { timeoutMs: 5 },
    )
    const error = await failureOf(client.listKeys())
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('within 5 ms') as string,
    })
    expect(given?.aborted).toBe(true)
  })
})

describe('lists', () => {
  test('follow the pages to the end', async () => {
    const { client, asked } = clientOf(({ url: at }) =>
      at.includes('cursor=')
        ? { items: [{ key: 'c' }] }
        : { items: [{ key: 'a' }, { key: 'b' }], next_cursor: 'Yg' },
    )
    expect((await client.listKeys()).map(({ key }) => key)).toEqual(['a', 'b', 'c'])
    expect(asked.map((one) => one.url.slice(url.length))).toEqual([
      '/v1/keys?limit=1000',
      '/v1/keys?limit=1000&cursor=Yg',
    ])
  })
})

describe('an answer without end', () => {
  test('is given up', async () => {
    let pulled = 0
    let isCancelled = false
    const chunk = new Uint8Array(1024 * 1024).fill(0x20)
    const { client } = clientOf(
      () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              pulled += 1
              controller.enqueue(chunk)
            },
            cancel: () => void (isCancelled = true),
          }),
        ),
    )
    expect((await failureOf(client.listKeys())).code).toBe('unavailable')
    expect(isCancelled).toBe(true)
    expect(pulled).toBeLessThan(100)
  })

  test.each([
    ['the same page again', { items: [{ key: 'a' }], next_cursor: 'YQ' }],
    ['an empty page with another after it', { items: [], next_cursor: 'YQ' }],
  ])('of %s is given up', async (_, page) => {
    const { client, asked } = clientOf(() => page)
    expect((await failureOf(client.listKeys())).code).toBe('unavailable')
    expect(asked.length).toBeLessThan(3)
  })
})

describe('names in a path', () => {
  test('are encoded, and none climbs', async () => {
    const { client, asked } = clientOf(() => ({}))
    await client.getKey('a/../b?c')
    expect(asked[0]?.url).toBe(`${url}/v1/keys/a%2F..%2Fb%3Fc`)
    for (const name of ['', '.', '..']) expect((await failureOf(client.getKey(name))).code).toBe('bad_input')
  })
})

describe('batches', () => {
  test.each([0, 1, 999, 1000, 1001, 2500])('of %i travel by a thousand, in order', async (count) => {
    const { client, asked } = clientOf(echo)
    const results = await client.unwrap(itemsOf(count))
    expect(asked.map(({ body }) => (body as Sent).items.length)).toEqual(
      Array.from({ length: Math.ceil(count / 1000) }, (_, index) => Math.min(1000, count - 1000 * index)),
    )
    const firsts = results.map((result) =>
      'dataKey' in result ? result.dataKey.use((bytes) => bytes[0]) : -1,
    )
    expect(firsts).toEqual(Array.from({ length: count }, (_, index) => index % 256))
  })

  test('with large contexts stay below the limit of the service', async () => {
    const { client, asked } = clientOf(echo)
    await client.unwrap(itemsOf(1000, { note: 'ü'.repeat(4000) }))
    expect(asked.length).toBeGreaterThan(1)
    for (const { init } of asked) {
      expect(new TextEncoder().encode(init.body as string).length).toBeLessThanOrEqual(8 * 1024 * 1024)
    }
  })

  test('carry contexts of any name', async () => {
    const { client, asked } = clientOf(echo)
    const pairs = [
      ['__proto__', 'x'],
      ['10', 'a'],
      ['9', 'b'],
    ] as const
    await client.unwrap([{ stanza: stanzaFor(1), keyId: new Uint8Array(16), keyContext: pairs }])
    expect(asked[0]?.init.body).toContain('"__proto__":"x"')
  })

  test('one failing does not fail the others, and each code means its own', async () => {
    const codes = [
      'unwrap_failed',
      'not_found',
      'invalid_state',
      'permission_denied',
      'malformed_request',
      'new',
    ]
    const { client } = clientOf(({ body }) => ({
      items: (body as Sent).items.map(({ id }) => {
        const code = codes[Number(id)]
        if (code !== undefined) return { id, problem: { status: 400, code, detail: 'because' } }
        return { id, data_key: toBase64url(new Uint8Array(32)), key: 'a', version: 1 }
      }),
    }))
    const results = await client.unwrap(itemsOf(7))
    expect(results.map((result) => ('error' in result ? result.error.code : result.version))).toEqual([
      'cannot_open',
      'not_a_recipient',
      'unavailable',
      'unavailable',
      'malformed',
      'unavailable',
      1,
    ])
  })

  test.each([null, 7, {}, { code: 7, detail: null }])(
    'a problem that is %j is unavailable',
    async (strange) => {
      const { client } = clientOf(({ body }) => ({
        items: (body as Sent).items.map(({ id }) => ({ id, problem: strange })),
      }))
      expect(await client.unwrap(itemsOf(1))).toMatchObject([{ error: { code: 'unavailable' } }])
    },
  )

  test.each<[string, (items: unknown[]) => unknown]>([
    ['too few answers', (items) => items.slice(1)],
    ['answers in another order', (items) => items.toReversed()],
    ['a short data key', (items) => items.map((item) => ({ ...(item as object), data_key: 'AAAA' }))],
    ['a data key that is null', (items) => items.map((item) => ({ ...(item as object), data_key: null }))],
    ['an answer without a data key', (items) => items.map((item) => ({ id: (item as { id: string }).id }))],
    ['a data key that is none', (items) => items.map((item) => ({ ...(item as object), data_key: 7 }))],
    ['no list', () => 'x'],
    ['nothing', () => undefined],
  ])('%s are unavailable', async (_, change) => {
    const { client } = clientOf((asked) => ({ items: change((echo(asked) as { items: unknown[] }).items) }))
    expect((await failureOf(client.unwrap(itemsOf(2)))).code).toBe('unavailable')
  })
})
