/** Every route that needs a token: the one permission it takes, and how large a body it reads. */

import type { Permission } from '@longhold/core/kms'

export interface RouteRule {
  readonly permission: Permission
  readonly maxBodyBytes: number
}

const kibi = 1024
const mebi = 1024 * kibi

export const routeTable = {
  'POST /v1/keys': { permission: 'keys.create', maxBodyBytes: 64 * kibi },
  'GET /v1/keys': { permission: 'keys.list', maxBodyBytes: 0 },
  'GET /v1/keys/{key}': { permission: 'keys.read', maxBodyBytes: 0 },
  'POST /v1/keys/{key}/rotate': { permission: 'keys.rotate', maxBodyBytes: 0 },
  'GET /v1/keys/{key}/versions': { permission: 'versions.list', maxBodyBytes: 0 },
  'PATCH /v1/keys/{key}/versions/{version}': { permission: 'versions.update', maxBodyBytes: 64 * kibi },
  'GET /v1/keys/{key}/public-key': { permission: 'wrap', maxBodyBytes: 0 },
  'POST /v1/unwrap': { permission: 'unwrap', maxBodyBytes: 8 * mebi },
  'POST /v1/rewrap': { permission: 'rewrap', maxBodyBytes: 16 * mebi },
  'POST /v1/tokens': { permission: 'tokens.create', maxBodyBytes: 64 * kibi },
  'GET /v1/tokens': { permission: 'tokens.list', maxBodyBytes: 0 },
  'DELETE /v1/tokens/{token}': { permission: 'tokens.revoke', maxBodyBytes: 0 },
} as const satisfies Record<string, RouteRule>

export type RouteName = keyof typeof routeTable

/** Routes without a token: they say nothing that is not for everybody. `POST /v1/sys/unseal` is one more, on the admin
 *  socket. */
export const publicRoutes = ['GET /livez', 'GET /readyz', 'GET /v1/sys/seal-status'] as const
