/** What every request gets, whatever answers it: an id, headers, a line in the log; and an end while the service stops. */

import { randomUUID } from 'node:crypto'

import type { ProblemCode } from '@longhold/core/kms'
import { routePath } from 'hono/route'

import type { Caller } from '../service/policy.ts'
import { commonHeaders } from './answers.ts'
import type { App, Log, Outcomes } from './env.ts'
import type { Answered } from './metrics.ts'
import { answerError, answerProblem } from './problems.ts'
import { requireStrictTarget } from './request-target.ts'

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
    const isFramed: true | undefined = c.get('isFramed')
    if (isFramed === undefined || isDraining()) {
      // Not by `c.header`, which makes the answer anew, as a stream that is read again to be sent.
      const { headers } = c.res
      for (const [name, value] of Object.entries(commonHeaders(requestId))) headers.set(name, value)
      if (isDraining()) headers.set('Connection', 'close')
    }
    // Some requests end before there is a caller, most without a problem.
    const caller: Caller | undefined = c.get('caller')
    const problem: ProblemCode | undefined = c.get('problem')
    const outcomes: Outcomes | undefined = c.get('outcomes')
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
    requireStrictTarget(c)
    return await next()
  })

  app.onError((error, c) => answerError(error, c, log))
}
