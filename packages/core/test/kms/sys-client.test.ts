import { describe, expect, test } from 'vitest'

import { KmsSysClient } from '../../src/kms/index.ts'

const token = `lhk_${'0'.repeat(24)}_${'A'.repeat(43)}`

interface Asked {
  readonly method: string
  readonly url: string
  readonly token: string | null
  readonly body: unknown
}

/** A client whose service answers so, and what was asked. */
function clientOf(status: number, answer: unknown, withToken = true) {
  const asked: Asked[] = []
  const client = new KmsSysClient({
    url: 'http://127.0.0.1:8420',
    ...(withToken ? { token } : {}),
    fetch: async (input, init) => {
      const request = new Request(input, init)
      const text = await request.text()
      asked.push({
        method: request.method,
        url: new URL(request.url).pathname,
        token: request.headers.get('authorization'),
        body: text === '' ? undefined : JSON.parse(text),
      })
      return new Response(answer === undefined ? null : JSON.stringify(answer), { status })
    },
  })
  return { client, asked }
}

describe('KmsSysClient', () => {
  test('asks status and unseals without a token', async () => {
    const status = { sealed: true, initialised: true, kinds: ['shares'], shares: { given: 1, threshold: 2 } }
    const { client, asked } = clientOf(200, status, false)
    expect(await client.sealStatus()).toEqual(status)
    expect(await client.unseal({ share: 'LONGHOLD-SHARE-1-…' })).toEqual(status)
    expect(await client.init({ production: true })).toEqual(status)
    const request = { key_file: 'A'.repeat(43), epochs: '41:57' }
    expect(await client.acceptRollback(request)).toEqual(status)
    expect(asked).toEqual([
      { method: 'GET', url: '/v1/sys/seal-status', token: null, body: undefined },
      { method: 'POST', url: '/v1/sys/unseal', token: null, body: { share: 'LONGHOLD-SHARE-1-…' } },
      { method: 'POST', url: '/v1/sys/init', token: null, body: { production: true } },
      { method: 'POST', url: '/v1/sys/accept-rollback', token: null, body: request },
    ])
  })

  test('asks for the rest with one', async () => {
    const { client, asked } = clientOf(200, { items: [] })
    await client.listSlots()
    await client.addSlot({ kind: 'key-service', label: 'the other house' })
    await client.removeSlot('a/b')
    await client.rotateRoot()
    await client.rootRotation()
    await client.seal()
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /v1/sys/slots',
      'POST /v1/sys/slots',
      'DELETE /v1/sys/slots/a%2Fb',
      'POST /v1/sys/root-rotations',
      'GET /v1/sys/root-rotations',
      'POST /v1/sys/seal',
    ])
    expect(new Set(asked.map((one) => one.token))).toEqual(new Set([`Bearer ${token}`]))
  })

  test.each([
    [404, 'not_found', 'bad_input', /use its admin socket/u],
    [429, 'rate_limited', 'unavailable', /asked too often: why/u],
    [503, 'sealed', 'unavailable', /cannot answer now \(sealed\)/u],
    [422, 'unwrap_failed', 'bad_input', /refuses: why/u],
  ])('says what status %i, %s means', async (status, code, kind, message) => {
    const { client } = clientOf(status, { code, detail: 'why' })
    await expect(client.unseal({ passphrase: 'the wrong one' })).rejects.toMatchObject({
      code: kind,
      message: expect.stringMatching(message) as string,
    })
  })

  test('does not take what is no list of slots, no token, no option', async () => {
    await expect(clientOf(200, { items: {} }).client.listSlots()).rejects.toThrow(/not a key service/u)
    const url = 'http://127.0.0.1:8420'
    expect(() => new KmsSysClient({ url, token: 'lhk_' })).toThrow(/not a token/u)
    // @ts-expect-error An option that there is not.
    expect(() => new KmsSysClient({ url, tokn: token })).toThrow(/tokn/u)
  })
})
