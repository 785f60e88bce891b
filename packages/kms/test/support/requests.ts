/** A request for every route, which it answers with success when it is allowed. */

import { toBase64url } from '@longhold/core'

import type { RouteName } from '../../src/http/route-table.ts'
import { encodeStanza, wrapFor } from './service.ts'
import type { TestService } from './service.ts'

export type Sent = [path: string, init: RequestInit]

function json(method: string, body: unknown): RequestInit {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

/** Expects a service with the key `a`, which has two versions. */
export const requests: Readonly<Record<RouteName, (under: TestService) => Sent | Promise<Sent>>> = {
  'POST /v1/keys': () => ['/v1/keys', json('POST', { key: 'new' })],
  'GET /v1/keys': () => ['/v1/keys', {}],
  'GET /v1/keys/{key}': () => ['/v1/keys/a', {}],
  'POST /v1/keys/{key}/rotate': () => ['/v1/keys/a/rotate', { method: 'POST' }],
  'GET /v1/keys/{key}/versions': () => ['/v1/keys/a/versions', {}],
  'PATCH /v1/keys/{key}/versions/{version}': () => [
    '/v1/keys/a/versions/1',
    json('PATCH', { state: 'unwrap_only' }),
  ],
  'GET /v1/keys/{key}/public-key': () => ['/v1/keys/a/public-key', {}],
  'POST /v1/unwrap': async (under) => {
    const { stanza, dataKey } = await wrapFor(under.client(), ['a'])
    const bytes = { key_id: toBase64url(dataKey.keyId), stanza: toBase64url(encodeStanza(stanza)) }
    return ['/v1/unwrap', json('POST', { items: [{ id: '1', ...bytes, context: {} }] })]
  },
  'POST /v1/rewrap': async (under) => {
    const { wrappedKey } = await wrapFor(under.client(), ['a'])
    const item = { id: '1', wrapped_key: toBase64url(wrappedKey), context: {} }
    return ['/v1/rewrap', json('POST', { items: [item] })]
  },
  // An empty set of keys: whoever may make tokens may make this one.
  'POST /v1/tokens': () => [
    '/v1/tokens',
    json('POST', { name: 'x', permissions: ['tokens.create'], keys: [] }),
  ],
  'GET /v1/tokens': () => ['/v1/tokens', {}],
  'DELETE /v1/tokens/{token}': async (under) => {
    const text = await under.token(['tokens.revoke'], [])
    return [`/v1/tokens/${text.split('_')[1]}`, { method: 'DELETE' }]
  },
}
