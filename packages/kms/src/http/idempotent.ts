/** `Idempotency-Key` on a route that changes something; what it means is in `service/idempotency.ts`. */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import { Claim } from '../service/idempotency.ts'
import type { KeptAnswer } from '../service/idempotency.ts'
import type { Service } from '../service/service.ts'
import type { Env } from './env.ts'
import type { RouteRule } from './route-table.ts'

const keyPattern = /^[\x21-\x7e]{1,128}$/u
const keptHeaders = ['content-type', 'etag', 'location'] as const

/**
 * Behind token and body, before the handler.
 *
 * @param route Name of its row in the table of routes.
 */
export function idempotent({ idempotency }: Service, route: string, rule: RouteRule) {
  return createMiddleware<Env>(async (c, next) => {
    const key = c.req.header('idempotency-key')
    if (key === undefined) return await next()
    if (!keyPattern.test(key)) {
      throw new ServiceError('malformed_request', 'an idempotency key is 1 to 128 visible ASCII characters')
    }
    const caller = c.get('caller')
    // It changes nothing, however often.
    if (caller.isDryRun === true) return await next()
    const begun = await idempotency.begin(caller.principal, {
      route,
      key,
      content: contentOf(c),
      isKept: rule.answersSecret !== true,
      isHarmless: rule.isHarmlessTwice === true,
    })
    if (!(begun instanceof Claim)) return repeat(begun)
    c.set('caller', { ...caller, riders: [...(caller.riders ?? []), begun] })
    try {
      await next()
      if (c.error === undefined && c.res.ok) {
        // What is not kept is not read either: it may be a stream.
        await begun.finish(rule.answersSecret === true ? undefined : await answerOf(c.res))
        return undefined
      }
      const answer = await begun.lookAgain()
      if (answer === undefined) return undefined
      c.error = undefined
      c.res = repeat(answer)
    } finally {
      begun.release()
    }
    return undefined
  })
}

/** All that another request under the same key could differ in. */
function contentOf(c: Context<Env>): readonly string[] {
  const { pathname, search } = new URL(c.req.url)
  return [pathname, search, c.req.header('if-match') ?? '', c.get('text') || '{}']
}

async function answerOf(response: Response): Promise<KeptAnswer> {
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
