/** `/livez` and `/readyz`: for whoever starts, stops and balances. They say nothing else. */

import { createRoute } from '@hono/zod-openapi'

import type { Service } from '../../service/service.ts'
import { health } from '../../wire.ts'
import { jsonAnswer, problems } from '../documents.ts'
import type { App } from '../env.ts'

const isAlive = createRoute({
  method: 'get',
  path: '/livez',
  summary: 'Whether the process runs',
  responses: { 200: jsonAnswer(health, 'It does'), ...problems },
})
const isReady = createRoute({
  method: 'get',
  path: '/readyz',
  summary: 'Whether it can answer',
  responses: { 200: jsonAnswer(health, 'It can'), ...problems },
})

export function healthRoutes(app: App, service: Service): void {
  app.openapi(isAlive, (c) => c.json({ status: 'ok' as const }, 200))
  // While the service drains, the answer comes before this one.
  app.openapi(isReady, async (c) => {
    await service.checkReady()
    return c.json({ status: 'ok' as const }, 200)
  })
}
