/** The service over HTTP, in one screen. */

import { randomUUID } from 'node:crypto'

import { OpenAPIHono } from '@hono/zod-openapi'
import { routePath } from 'hono/route'

import type { Service } from '../service/service.ts'
import type { App, Env, Log } from './env.ts'
import { answerError, answerProblem } from './problems.ts'
import { refuseInvalid } from './refuse-invalid.ts'
import { batchRoutes } from './routes/batches.ts'
import { healthRoutes } from './routes/health.ts'
import { keyRoutes } from './routes/keys.ts'
import { tokenRoutes } from './routes/tokens.ts'

export interface AppOptions {
  readonly service: Service
  readonly log: Log
  /** Set while the service stops: new requests are turned away, those under way are answered. */
  readonly isDraining: () => boolean
}

const requestIdPattern = /^[\w.-]{1,64}$/u

export function createApp({ service, log, isDraining }: AppOptions): App {
  const app = new OpenAPIHono<Env>({ defaultHook: refuseInvalid })

  app.use(async (c, next) => {
    const begun = performance.now()
    const given = c.req.header('x-request-id') ?? ''
    const requestId = requestIdPattern.test(given) ? given : randomUUID()
    c.set('requestId', requestId)
    await next()
    c.header('X-Request-Id', requestId)
    c.header('Cache-Control', 'no-store')
    c.header('X-Content-Type-Options', 'nosniff')
    if (isDraining()) c.header('Connection', 'close')
    // Some requests end before there is a caller, most without a problem.
    const { caller, problem } = c.var as Partial<Env['Variables']>
    log({
      level: 'info',
      message: 'request',
      requestId,
      method: c.req.method,
      route: routePath(c, -1),
      status: c.res.status,
      durationMs: Math.round((performance.now() - begun) * 10) / 10,
      principal: caller?.principal.token,
      code: problem,
    })
  })

  app.use(async (c, next) => {
    if (isDraining() && c.req.path !== '/livez')
      return answerProblem(c, 'draining', 'try again, or another node')
    return await next()
  })

  healthRoutes(app, service)
  keyRoutes(app, service)
  batchRoutes(app, service)
  tokenRoutes(app, service)

  app.notFound((c) => answerProblem(c, 'not_found', 'there is no such route'))
  app.onError((error, c) => answerError(error, c, log))
  return app
}
