/** The service over HTTP, in one screen. */

import { OpenAPIHono } from '@hono/zod-openapi'

import type { Service } from '../service/service.ts'
import type { App, Env } from './env.ts'
import { FixedPaths } from './fixed-paths.ts'
import type { Gate, SlotOpeners } from './gate.ts'
import { answerProblem } from './problems.ts'
import { refuseInvalid } from './refuse-invalid.ts'
import { frameRequests } from './request-frame.ts'
import type { FrameOptions } from './request-frame.ts'
import { accessRoutes } from './routes/access.ts'
import { aliasRoutes } from './routes/aliases.ts'
import { auditRoutes } from './routes/audit.ts'
import { backupRoutes } from './routes/backups.ts'
import { batchRoutes } from './routes/batches.ts'
import { clockRoutes } from './routes/clock.ts'
import { healthRoutes } from './routes/health.ts'
import { identityRoutes } from './routes/identity.ts'
import { keyMaterialRoutes } from './routes/key-material.ts'
import { keyRoutes } from './routes/keys.ts'
import { referenceRoutes } from './routes/reference.ts'
import { sealingRoutes } from './routes/sealing.ts'
import { sysRoutes } from './routes/sys.ts'
import { tokenRoutes } from './routes/tokens.ts'
import { usageRoutes } from './routes/usage.ts'
import { versionRoutes } from './routes/versions.ts'
import { sharedOf } from './shared.ts'
import type { SharedOptions } from './shared.ts'

export interface AppOptions extends FrameOptions {
  readonly service: Service
  readonly gate: Gate
  readonly openers: SlotOpeners
  /** Whether unsealing is served here: harmless, since the service is unsealed, but the same as while it is not. */
  readonly mayUnseal: boolean
  readonly limits?: SharedOptions | undefined
}

export function createApp({ service, gate, openers, mayUnseal, limits, ...frame }: AppOptions): App {
  const app = new OpenAPIHono<Env>({ defaultHook: refuseInvalid, router: new FixedPaths() })

  frameRequests(app, frame)
  const shared = sharedOf(service, limits)
  app.use((c, next) => {
    c.set('shared', shared)
    return next()
  })
  healthRoutes(app, service)
  sealingRoutes(app, gate, mayUnseal)
  // Before the routes of a key, one of whose names could be `import`.
  keyMaterialRoutes(app, service)
  keyRoutes(app, service)
  versionRoutes(app, service)
  usageRoutes(app, service)
  aliasRoutes(app, service)
  clockRoutes(app, service)
  batchRoutes(app, service)
  tokenRoutes(app, service)
  sysRoutes(app, service, gate, openers)
  backupRoutes(app, service)
  accessRoutes(app, service)
  auditRoutes(app, service)
  identityRoutes(app, service)
  referenceRoutes(app)

  app.notFound((c) => answerProblem(c, 'not_found', 'there is no such route'))
  return app
}
