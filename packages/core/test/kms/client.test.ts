import { inspect as show } from 'node:util'

import { describe, expect, test } from 'vitest'

import { toBase64url } from '../../src/bytes.ts'
import { LongholdError } from '../../src/errors.ts'
import type { Stanza } from '../../src/format/header.ts'
import { generateIdentity } from '../../src/keys/key-parsing.ts'
import { KmsClient } from '../../src/kms/client.ts'
import { KmsIdentity, kmsRecipient } from '../../src/kms/kms-identity.ts'

const url = 'http://127.0.0.1:8420'
const token = `lhk_${'0'.repeat(24)}_${'S3CRET'.padEnd(43, 'x')}`

interface Asked {
  url: string
  init: RequestInit
  body: unknown
}

/** A client whose service answers what `answer` says; keeps what was asked. */
function clientOf(
  answer: (asked: Asked, signal: AbortSignal) => unknown,
  options: Partial<ConstructorParameters<typeof KmsClient>[0]> = {},
): { client: KmsClient; asked: Asked[] } {
  const asked: Asked[] = []
  const client = new KmsClient({
    url,
    token,
    fetch: async (input, init = {}) => {
      const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined
      const one = { url: input as string, init, body }
      asked.push(one)
      const given = await answer(one, init.signal as AbortSignal)
      return given instanceof Response ? given : Response.json(given)
    },
    ...options,
  })
  return { client, asked }
}

function problem(status: number, code: string, detail = 'because'): Response {
  return Response.json({ status, code, detail, title: 't', type: 'about:blank', request_id: 'r' }, { status })
}

function stanzaFor(fill: number): Stanza {
  const recipientId = new Uint8Array(16).fill(fill)
  return { kemId: 0x647a, kdfId: 1, aeadId: 2, recipientId, payload: new Uint8Array(1168).fill(fill) }
}

async function failureOf(promise: Promise<unknown>): Promise<LongholdError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(LongholdError)
  return error as LongholdError
}

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

describe('names in a path', () => {
  test('are encoded, and none climbs', async () => {
    const { client, asked } = clientOf(() => ({}))
    await client.getKey('a/../b?c')
    expect(asked[0]?.url).toBe(`${url}/v1/keys/a%2F..%2Fb%3Fc`)
    for (const name of ['', '.', '..']) expect((await failureOf(client.getKey(name))).code).toBe('bad_input')
  })
})

interface Sent {
  items: { id: string; key_id: string }[]
}

/** Answers each item with its key id, doubled to the length of a data key. */
function echo({ body }: Asked): unknown {
  const { items } = body as Sent
  return {
    items: items.map(({ id }) => ({
      id,
      data_key: toBase64url(new Uint8Array(32).fill(Number(id) % 256)),
      key: 'a',
      version: 1,
    })),
  }
}

function itemsOf(count: number, context: Record<string, string> = {}) {
  return Array.from({ length: count }, (_, index) => ({
    stanza: stanzaFor(index % 256),
    keyId: new Uint8Array(16).fill(index % 256),
    keyContext: context,
  }))
}

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

  test.each<[string, (items: unknown[]) => unknown]>([
    ['too few answers', (items) => items.slice(1)],
    ['answers in another order', (items) => items.toReversed()],
    ['a short data key', (items) => items.map((item) => ({ ...(item as object), data_key: 'AAAA' }))],
    ['a data key that is none', (items) => items.map((item) => ({ ...(item as object), data_key: 7 }))],
    ['no list', () => 'x'],
    ['nothing', () => undefined],
  ])('%s are unavailable', async (_, change) => {
    const { client } = clientOf((asked) => ({ items: change((echo(asked) as { items: unknown[] }).items) }))
    expect((await failureOf(client.unwrap(itemsOf(2)))).code).toBe('unavailable')
  })
})

describe('KmsIdentity', () => {
  const identity = generateIdentity()
  const ours = identity.recipientId

  function service(ids: () => readonly Uint8Array[], lifeMs = 86_400_000) {
    return clientOf((asked) => {
      if (asked.url.includes('/public-key')) {
        const issued = Date.parse('2020-01-01T00:00:00Z')
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
      if (asked.url.includes('/v1/keys')) return { items: [{ key: 'a' }] }
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

  test('asks again when its bundles are over, whatever the clocks say', async () => {
    const { client, asked } = service(() => [ours], 0)
    const kms = new KmsIdentity(client)
    await kms.owns(0x647a, ours)
    await kms.owns(0x647a, ours)
    expect(bundles(asked)).toBe(2)
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
