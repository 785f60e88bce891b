/** `Idempotency-Key` on a route that changes something. */

import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import { sharerOf } from '../service/policy.ts'
import type { Env } from './env.ts'
import type { KeptAnswer } from './idempotency.ts'

const keyPattern = /^[\x21-\x7e]{1,128}$/u
const keptHeaders = ['content-type', 'etag', 'location'] as const

/**
 * Behind token and body, before the handler.
 *
 * @param route Name of its row in the table of routes.
 * @param answersSecret Whether its answer holds something that is shown once.
 */
export function idempotent(route: string, answersSecret: boolean) {
  return createMiddleware<Env>(async (c, next) => {
    const key = c.req.header('idempotency-key')
    if (key === undefined) return await next()
    if (!keyPattern.test(key)) {
      throw new ServiceError('malformed_request', 'an idempotency key is 1 to 128 visible ASCII characters')
    }
    const { idempotency } = c.get('shared')
    const { principal } = c.get('caller')
    const name = JSON.stringify([principal.token, route, key])
    const { pathname, search } = new URL(c.req.url)
    const text = (await (c.req.bodyCache.text as Promise<string> | undefined)) ?? ''
    const request = idempotency.mac(pathname, search, c.req.header('if-match') ?? '', text)
    const kept = idempotency.begin(sharerOf(principal), name, request)
    if (kept !== undefined) return repeat(kept)
    let isDone = false
    try {
      await next()
      isDone = c.error === undefined && c.res.ok
      if (isDone) idempotency.finish(name, answersSecret ? undefined : await keep(c.res))
    } finally {
      if (!isDone) idempotency.forget(name)
    }
    return undefined
  })
}

async function keep(response: Response): Promise<KeptAnswer> {
  const headers = keptHeaders.flatMap((name) => {
    const value = response.headers.get(name)
    return value === null ? [] : [[name, value] as const]
  })
  return { status: response.status, headers, body: await response.clone().text() }
}

function repeat({ status, headers, body }: KeptAnswer): Response {
  const isEmpty = status === 204
  return new Response(isEmpty ? null : body, {
    status,
    headers: [
      ...headers.map(([name, value]): [string, string] => [name, value]),
      ['Idempotent-Replay', 'true'],
    ],
  })
}
