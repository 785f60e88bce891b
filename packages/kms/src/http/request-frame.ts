/** What every request gets, whatever answers it: an id, headers, a line in the log; and an end while the service stops. */

import { randomUUID } from 'node:crypto'

import { routePath } from 'hono/route'

import type { App, Env, Log } from './env.ts'
import type { Answered } from './metrics.ts'
import { answerError, answerProblem } from './problems.ts'
import { strictTarget } from './request-target.ts'

export interface FrameOptions {
  readonly log: Log
  /** Set while the service stops: new requests are turned away, those under way are answered. */
  readonly isDraining: () => boolean
  /** Called with each answer. */
  readonly onAnswered?: ((answered: Answered) => void) | undefined
}

const requestIdPattern = /^[\w.-]{1,64}$/u

/** To be called before any route is defined. */
export function frameRequests(app: App, { log, isDraining, onAnswered }: FrameOptions): void {
  app.use(async (c, next) => {
    const begun = performance.now()
    const given = c.req.header('x-request-id') ?? ''
    const requestId = requestIdPattern.test(given) ? given : randomUUID()
    c.set('requestId', requestId)
    await next()
    // Not by `c.header`, which makes the answer anew, as a stream that is read again to be sent.
    const { headers } = c.res
    headers.set('X-Request-Id', requestId)
    headers.set('Cache-Control', 'no-store')
    headers.set('X-Content-Type-Options', 'nosniff')
    if (isDraining()) headers.set('Connection', 'close')
    // Some requests end before there is a caller, most without a problem.
    const { caller, problem, outcomes } = c.var as Partial<Env['Variables']>
    const answered = {
      method: c.req.method,
      route: routePath(c, -1),
      status: c.res.status,
      durationMs: Math.round((performance.now() - begun) * 10) / 10,
      code: problem,
    }
    log({ level: 'info', message: 'request', requestId, principal: caller?.principal.token, ...answered })
    onAnswered?.({ ...answered, outcomes })
  })

  app.use(async (c, next) => {
    if (isDraining() && c.req.path !== '/livez')
      return answerProblem(c, 'draining', 'try again, or another node')
    return await next()
  })

  app.use(strictTarget)

  app.onError((error, c) => answerError(error, c, log))
}
