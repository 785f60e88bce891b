/** The service over HTTP, in one screen. */

import { OpenAPIHono } from '@hono/zod-openapi'

import type { Service } from '../service/service.ts'
import type { App, Env } from './env.ts'
import type { Gate } from './gate.ts'
import { answerProblem } from './problems.ts'
import { refuseInvalid } from './refuse-invalid.ts'
import { frameRequests } from './request-frame.ts'
import type { FrameOptions } from './request-frame.ts'
import { batchRoutes } from './routes/batches.ts'
import { healthRoutes } from './routes/health.ts'
import { keyRoutes } from './routes/keys.ts'
import { sealingRoutes } from './routes/sealing.ts'
import { tokenRoutes } from './routes/tokens.ts'

export interface AppOptions extends FrameOptions {
  readonly service: Service
  readonly gate: Gate
  /** Whether unsealing is served here: harmless, since the service is unsealed, but the same as while it is not. */
  readonly mayUnseal: boolean
}

export function createApp({ service, gate, mayUnseal, ...frame }: AppOptions): App {
  const app = new OpenAPIHono<Env>({ defaultHook: refuseInvalid })

  frameRequests(app, frame)
  healthRoutes(app, service)
  sealingRoutes(app, gate, mayUnseal)
  keyRoutes(app, service)
  batchRoutes(app, service)
  tokenRoutes(app, service)

  app.notFound((c) => answerProblem(c, 'not_found', 'there is no such route'))
  return app
}
