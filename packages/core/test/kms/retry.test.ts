import { describe, expect, test } from 'vitest'

import { clientOf, failureOf, problem } from './fake-service.ts'

/** Answers with each of these once, then with the last of them. */
function answers(...each: (() => unknown)[]) {
  let next = 0
  return clientOf(() => each[Math.min(next++, each.length - 1)]?.(), { attempts: 3 })
}

const refused = () => {
  throw new TypeError('fetch failed')
}
const key = { key: 'a' }
const keysOf = (asked: readonly { init: RequestInit }[]) =>
  asked.map(({ init }) => new Headers(init.headers).get('idempotency-key'))

describe('a request is sent again', () => {
  test.each<[string, () => unknown]>([
    ['without an answer', refused],
    ['429', () => problem(429, 'rate_limited')],
    ['503 draining', () => problem(503, 'draining')],
    ['503 storage_unavailable', () => problem(503, 'storage_unavailable')],
    ['502 of a proxy', () => new Response('<html>', { status: 502 })],
    ['503 of a proxy', () => new Response('', { status: 503 })],
  ])('after %s', async (_, first) => {
    const { client, asked } = answers(first, () => key)
    expect(await client.getKey('a')).toEqual(key)
    expect(asked).toHaveLength(2)
  })

  test('at most so often as said, and the last answer is the answer', async () => {
    const { client, asked } = answers(() => problem(503, 'draining'))
    expect(await failureOf(client.getKey('a'))).toMatchObject({ code: 'unavailable' })
    expect(asked).toHaveLength(3)
    expect(await failureOf(client.with({ attempts: 1 }).getKey('a'))).toMatchObject({ code: 'unavailable' })
    expect(asked).toHaveLength(4)
  })

  test('and changes carry the same idempotency key each time, another one for each change', async () => {
    const { client, asked } = answers(
      refused,
      () => problem(409, 'idempotency_in_progress'),
      () => key,
    )
    await client.rotateKey('a')
    await client.rotateKey('a')
    const [first, second, third, other] = keysOf(asked)
    expect(first).toMatch(/^[0-9a-f]{32}$/u)
    expect([second, third]).toEqual([first, first])
    expect(other).toMatch(/^[0-9a-f]{32}$/u)
    expect(other).not.toBe(first)
  })

  test('but reads carry none', async () => {
    const { client, asked } = answers(() => ({ items: [] }))
    await client.listKeys()
    await client.unwrap([])
    expect(keysOf(asked)).toEqual([null])
  })
})

describe('a request is not sent again', () => {
  test.each([
    [400, 'malformed_request'],
    [401, 'unauthenticated'],
    [403, 'permission_denied'],
    [409, 'invalid_state'],
    [409, 'already_done'],
    [412, 'precondition_failed'],
    [500, 'internal'],
    [503, 'sealed'],
    [503, 'integrity_violation'],
    [503, 'rollback_detected'],
  ])('after %i %s', async (status, code) => {
    const { client, asked } = answers(() => problem(status, code))
    await failureOf(client.rotateKey('a'))
    expect(asked).toHaveLength(1)
  })

  test('when it changes something that may have been changed, and the log could not say so', async () => {
    const { client, asked } = answers(() => problem(503, 'audit_unavailable'))
    await failureOf(client.rotateKey('a'))
    expect(asked).toHaveLength(1)
    await failureOf(client.getKey('a'))
    expect(asked).toHaveLength(4)
  })

  test('after the deadline, nor when it would have to wait beyond it', async () => {
    const limited = () => {
      const response = problem(429, 'rate_limited')
      response.headers.set('retry-after', '60')
      return response
    }
    const { client, asked } = answers(limited)
    const error = await failureOf(client.with({ deadlineMs: 1000 }).getKey('a'))
    expect(error).toMatchObject({ code: 'unavailable', hint: 'wait, then try again' })
    expect(asked).toHaveLength(1)
  })
})

describe('whoever asked may give up', () => {
  test('while an answer is awaited', async () => {
    const controller = new AbortController()
    const { client, asked } = clientOf(
      (_, signal) =>
        new Promise((__, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
          controller.abort(new Error('enough'))
        }),
    )
    const error = await failureOf(client.with({ signal: controller.signal }).getKey('a'))
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('given up') as string,
    })
    expect(asked).toHaveLength(1)
  })

  test('between two attempts', async () => {
    const controller = new AbortController()
    const { client, asked } = clientOf(
      () => {
        controller.abort()
        return refused()
      },
      { signal: controller.signal },
    )
    expect(await failureOf(client.getKey('a'))).toMatchObject({ code: 'unavailable' })
    expect(asked).toHaveLength(1)
  })
})

test.each([
  { attempts: 0 },
  { attempts: 11 },
  { attempts: 1.5 },
  { deadlineMs: 0 },
  { deadlineMs: Number.NaN },
])('options that cannot be meant are refused: %j', (options) => {
  const { client } = answers(() => key)
  expect(() => client.with(options)).toThrow(expect.objectContaining({ code: 'bad_input' }))
})
