/** Every route that needs a token: the one permission it takes, and how large a body it reads. */

import type { Permission } from '@longhold/core/kms'

export interface RouteRule {
  readonly permission: Permission
  readonly maxBodyBytes: number
  /** A POST that changes nothing: it takes neither an idempotency key nor a dry run. */
  readonly isRead?: true
  /** Whether its answer holds something that is shown once; it is not kept for whoever asks again. */
  readonly answersSecret?: true
  /** Whether it does no harm when it is made twice: an idempotency key of it is not remembered for long. */
  readonly isHarmlessTwice?: true
  /** Whether it can be, or has to be, told the generation of the key it expects (If-Match). */
  readonly ifMatch?: 'taken' | 'required'
}

const kibi = 1024
const mebi = 1024 * kibi

export const routeTable = {
  'POST /v1/keys': { permission: 'keys.create', maxBodyBytes: 64 * kibi },
  'GET /v1/keys': { permission: 'keys.list', maxBodyBytes: 0 },
  'GET /v1/keys/{key}': { permission: 'keys.read', maxBodyBytes: 0 },
  'PATCH /v1/keys/{key}': { permission: 'keys.update', maxBodyBytes: 64 * kibi, ifMatch: 'required' },
  'POST /v1/keys/{key}/rotate': { permission: 'keys.rotate', maxBodyBytes: 64 * kibi, ifMatch: 'taken' },
  'GET /v1/keys/{key}/usage': { permission: 'keys.usage', maxBodyBytes: 0 },
  'POST /v1/keys/import': { permission: 'keys.import', maxBodyBytes: mebi },
  'POST /v1/keys/{key}/export': { permission: 'keys.export', maxBodyBytes: 64 * kibi, answersSecret: true },
  'POST /v1/keys/{key}/data-keys': {
    permission: 'data-keys.create',
    maxBodyBytes: 64 * kibi,
    answersSecret: true,
    isHarmlessTwice: true,
  },
  'POST /v1/keys/{key}/decapsulate': { permission: 'decapsulate', maxBodyBytes: 64 * kibi, isRead: true },
  'GET /v1/keys/{key}/versions': { permission: 'versions.list', maxBodyBytes: 0 },
  'GET /v1/keys/{key}/versions/{version}': { permission: 'versions.read', maxBodyBytes: 0 },
  'PATCH /v1/keys/{key}/versions/{version}': {
    permission: 'versions.update',
    maxBodyBytes: 64 * kibi,
    ifMatch: 'taken',
  },
  'POST /v1/keys/{key}/versions/{version}/destroy': {
    permission: 'versions.destroy',
    maxBodyBytes: 0,
    ifMatch: 'required',
  },
  'POST /v1/keys/{key}/versions/{version}/restore': {
    permission: 'versions.restore',
    maxBodyBytes: 0,
    ifMatch: 'taken',
  },
  'GET /v1/keys/{key}/versions/{version}/destroy-check': { permission: 'versions.check', maxBodyBytes: 0 },
  'GET /v1/keys/{key}/census/{consumer}': { permission: 'census.read', maxBodyBytes: 0 },
  'PUT /v1/keys/{key}/census/{consumer}': { permission: 'census.write', maxBodyBytes: mebi },
  'DELETE /v1/keys/{key}/census/{consumer}': { permission: 'census.remove', maxBodyBytes: 0 },
  'GET /v1/aliases': { permission: 'aliases.list', maxBodyBytes: 0 },
  'GET /v1/aliases/{alias}': { permission: 'aliases.read', maxBodyBytes: 0 },
  'PUT /v1/aliases/{alias}': { permission: 'aliases.write', maxBodyBytes: 64 * kibi },
  'DELETE /v1/aliases/{alias}': { permission: 'aliases.remove', maxBodyBytes: 0 },
  'GET /v1/sys/clock': { permission: 'clock.read', maxBodyBytes: 0 },
  'POST /v1/sys/clock/accept': { permission: 'clock.accept', maxBodyBytes: 0 },
  'GET /v1/keys/{key}/public-key': { permission: 'wrap', maxBodyBytes: 0 },
  'POST /v1/unwrap': { permission: 'unwrap', maxBodyBytes: 8 * mebi, isRead: true },
  'POST /v1/rewrap': { permission: 'rewrap', maxBodyBytes: 16 * mebi, isRead: true },
  'POST /v1/tokens': { permission: 'tokens.create', maxBodyBytes: 64 * kibi, answersSecret: true },
  'GET /v1/tokens': { permission: 'tokens.list', maxBodyBytes: 0 },
  'DELETE /v1/tokens/{token}': { permission: 'tokens.revoke', maxBodyBytes: 0 },
  'POST /v1/principals': { permission: 'principals.create', maxBodyBytes: 64 * kibi },
  'GET /v1/principals': { permission: 'principals.list', maxBodyBytes: 0 },
  'GET /v1/principals/{principal}': { permission: 'principals.list', maxBodyBytes: 0 },
  'PATCH /v1/principals/{principal}': { permission: 'principals.update', maxBodyBytes: 64 * kibi },
  'POST /v1/grants': { permission: 'grants.create', maxBodyBytes: 64 * kibi },
  'GET /v1/principals/{principal}/grants': { permission: 'grants.list', maxBodyBytes: 0 },
  'DELETE /v1/principals/{principal}/grants/{grant}': { permission: 'grants.delete', maxBodyBytes: 0 },
  'GET /v1/audit/events': { permission: 'audit.read', maxBodyBytes: 0 },
  'GET /v1/audit/checkpoints': { permission: 'audit.read', maxBodyBytes: 0 },
  'POST /v1/audit/checkpoints': { permission: 'audit.checkpoint', maxBodyBytes: 0 },
  'POST /v1/audit/verify': { permission: 'audit.verify', maxBodyBytes: 8 * mebi, isRead: true },
  'GET /v1/audit/prunings': { permission: 'audit.read', maxBodyBytes: 0 },
  'POST /v1/audit/prunings': { permission: 'audit.prune', maxBodyBytes: 2 * mebi },
  'POST /v1/authz/explain': { permission: 'authz.explain', maxBodyBytes: 64 * kibi, isRead: true },
  'POST /v1/sys/seal': { permission: 'sys.seal', maxBodyBytes: 0 },
  'GET /v1/sys/slots': { permission: 'slots.list', maxBodyBytes: 0 },
  'POST /v1/sys/slots': { permission: 'slots.create', maxBodyBytes: 16 * kibi, answersSecret: true },
  'DELETE /v1/sys/slots/{slot}': { permission: 'slots.remove', maxBodyBytes: 0 },
  'GET /v1/sys/root-rotations': { permission: 'root.rotate', maxBodyBytes: 0 },
  'POST /v1/sys/root-rotations': { permission: 'root.rotate', maxBodyBytes: 0 },
  'GET /v1/sys/backups': { permission: 'backups.list', maxBodyBytes: 0 },
  // Not kept for whoever asks again, and not kept in memory at all.
  'POST /v1/sys/backups': { permission: 'backups.create', maxBodyBytes: 0, answersSecret: true },
  'POST /v1/sys/backups/{backup}/confirm': { permission: 'backups.create', maxBodyBytes: kibi },
  'DELETE /v1/sys/backups/{backup}': { permission: 'backups.remove', maxBodyBytes: 0 },
} as const satisfies Record<string, RouteRule>

/** Whether a route changes something. */
export function changes(name: string, { isRead }: RouteRule): boolean {
  return !name.startsWith('GET ') && isRead !== true
}

export type RouteName = keyof typeof routeTable

/** Routes without a token: they say nothing that is not for everybody. `POST /v1/sys/unseal` and
 *  `POST /v1/sys/accept-rollback` are two more on the admin socket, and `POST /v1/sys/init` before there is a service. */
export const publicRoutes = [
  'GET /livez',
  'GET /readyz',
  'GET /v1/sys/seal-status',
  'GET /v1/sys/identity',
  'GET /openapi.json',
  'GET /docs',
] as const
