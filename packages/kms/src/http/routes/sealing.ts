/** Seal status, unsealing and what goes with it: the only routes while the service is sealed, and they take no token. */

import { createRoute } from '@hono/zod-openapi'

import {
  acceptRollbackRequest,
  initAnswer,
  initRequest,
  rollbackAnswer,
  sealStatus,
  unsealRequest,
} from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems } from '../documents.ts'
import type { App } from '../env.ts'
import type { Gate } from '../gate.ts'
import { jsonBody } from '../json-body.ts'

const readStatus = createRoute({
  method: 'get',
  path: '/v1/sys/seal-status',
  summary: 'Whether the service is sealed',
  responses: { 200: jsonAnswer(sealStatus, 'Whether it is sealed, and what opens it'), ...problems },
})
const unseal = createRoute({
  method: 'post',
  path: '/v1/sys/unseal',
  summary: 'Give what opens a slot of the root key',
  request: { body: jsonRequest(unsealRequest) },
  middleware: [jsonBody(16 * 1024)],
  responses: { 200: jsonAnswer(sealStatus, 'Sealed still means that more shares are needed'), ...problems },
})

const acceptRollback = createRoute({
  method: 'post',
  path: '/v1/sys/accept-rollback',
  summary: 'Go on with a database that was put back',
  request: { body: jsonRequest(acceptRollbackRequest) },
  middleware: [jsonBody(16 * 1024)],
  responses: { 200: jsonAnswer(rollbackAnswer, 'What there was to accept, and whether it was'), ...problems },
})

const init = createRoute({
  method: 'post',
  path: '/v1/sys/init',
  summary: 'Set up a service that waits for it',
  request: { body: jsonRequest(initRequest) },
  middleware: [jsonBody(16 * 1024)],
  responses: { 201: jsonAnswer(initAnswer, 'What was made, and where on its machine'), ...problems },
})

/** On the admin socket alone: whoever sets a service up has its first token. */
export function initRoute(app: App, gate: Gate): void {
  app.openapi(init, async (c) => c.json(await gate.init(c.req.valid('json')), 201))
}

/** @param mayUnseal Whether unsealing is served here: on the admin socket, and elsewhere only where configured. */
export function sealingRoutes(app: App, gate: Gate, mayUnseal: boolean): void {
  app.openapi(readStatus, async (c) => c.json(await gate.status(), 200))
  if (!mayUnseal) return
  app.openapi(unseal, async (c) => c.json(await gate.unseal(c.req.valid('json')), 200))
  // No token: those that were revoked since are valid again in a database that was put back.
  app.openapi(acceptRollback, async (c) => c.json(await gate.acceptRollback(c.req.valid('json')), 200))
}
