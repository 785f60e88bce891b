/** `/v1/sys/clock`: the time by which keys are rotated and destroyed. */

import { createRoute } from '@hono/zod-openapi'
import type { ClockInfo } from '@longhold/core/kms'

import type { Service } from '../../service/service.ts'
import type { TimeSeen } from '../../service/trusted-time.ts'
import { clockInfo } from '../../wire-keys.ts'
import { jsonAnswer, problems, time } from '../documents.ts'
import type { App } from '../env.ts'
import { secured } from '../secured.ts'

const getClock = createRoute({
  method: 'get',
  path: '/v1/sys/clock',
  summary: 'Look at the clock',
  responses: { 200: jsonAnswer(clockInfo, 'The time, and whether it jumped'), ...problems },
})
const acceptClock = createRoute({
  method: 'post',
  path: '/v1/sys/clock/accept',
  summary: 'Accept that the clock jumped: destruction goes on',
  responses: { 200: jsonAnswer(clockInfo, 'The time from which it goes on'), ...problems },
})

export function clockRoutes(app: App, service: Service): void {
  const route = secured(app, service)

  route(getClock, async (c) => c.json(describeClock(await service.life.time.current()), 200))

  route(acceptClock, async (c) => c.json(describeClock(await service.life.acceptClock(c.get('caller'))), 200))
}

function describeClock({ latest, jump }: TimeSeen): ClockInfo {
  return {
    time: time(latest),
    jump: jump && { seen_at: time(jump.seenAt), by_seconds: jump.byMs / 1000 },
  }
}
