/** What a service answers while it is sealed: that it lives, that it is sealed, and whoever unseals it. */

import { OpenAPIHono } from '@hono/zod-openapi'

import type { App, Env } from './env.ts'
import type { Gate } from './gate.ts'
import { answerProblem } from './problems.ts'
import { refuseInvalid } from './refuse-invalid.ts'
import { frameRequests } from './request-frame.ts'
import type { FrameOptions } from './request-frame.ts'
import { initRoute, sealingRoutes } from './routes/sealing.ts'

export interface SealedAppOptions extends FrameOptions {
  readonly gate: Gate
  /** Whether unsealing is served here. */
  readonly mayUnseal: boolean
  /** Whether it can be set up here. */
  readonly mayInit: boolean
}

export function createSealedApp({ gate, mayUnseal, mayInit, ...frame }: SealedAppOptions): App {
  const app = new OpenAPIHono<Env>({ defaultHook: refuseInvalid })
  frameRequests(app, frame)
  app.get('/livez', (c) => c.json({ status: 'ok' }))
  sealingRoutes(app, gate, mayUnseal)
  if (mayInit) initRoute(app, gate)
  app.notFound(async (c) => {
    const { initialised } = await gate.status()
    const [what, isHere] = initialised ? ['unseal', mayUnseal] : ['initialise', mayInit]
    const how = `${what} it ${isHere ? 'here' : 'on its admin socket'}`
    return answerProblem(c, 'sealed', `nothing is served until somebody ${what}s it: ${how}`)
  })
  return app
}
