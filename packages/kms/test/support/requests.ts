/** A request for every route, which it answers with success when it is allowed. */

import { createHash } from 'node:crypto'

import { defaultSuite, generateIdentity, Secret, toBase64url } from '@longhold/core'
import { auditExportLine, kmsRecipient, sealKeyPackage } from '@longhold/core/kms'

import type { RouteName } from '../../src/http/route-table.ts'
import { takeBackup } from './backups.ts'
import { MemoryOpener } from './memory-opener.ts'
import { encodeStanza, wrapFor } from './service.ts'
import type { TestService } from './service.ts'

export type Sent = [path: string, init: RequestInit]

const newSlot = { kind: 'key-file', label: '', key_file: toBase64url(new Uint8Array(32)) }
const jsonType = { 'content-type': 'application/json' }

function json(method: string, body: unknown): RequestInit {
  return { method, headers: jsonType, body: JSON.stringify(body) }
}

/** The public key of a new key `raw`, which decapsulates. */
async function rawKey({ service, admin }: TestService): Promise<{ publicKey: Uint8Array }> {
  await service.keys.create(admin, { key: 'raw', purpose: 'raw-kem' })
  const { recipient } = await service.keys.publicKey(admin, 'raw', 'raw-kem')
  return { publicKey: recipient.publicKey }
}

/** Expects a service with the key `a`, which has two versions. */
export const requests: Readonly<Record<RouteName, (under: TestService) => Sent | Promise<Sent>>> = {
  'POST /v1/keys': () => ['/v1/keys', json('POST', { key: 'new' })],
  'GET /v1/keys': () => ['/v1/keys', {}],
  'GET /v1/keys/{key}': () => ['/v1/keys/a', {}],
  'PATCH /v1/keys/{key}': () => [
    '/v1/keys/a',
    { ...json('PATCH', { enabled: false }), headers: { ...jsonType, 'if-match': '"2"' } },
  ],
  'GET /v1/keys/{key}/usage': () => ['/v1/keys/a/usage', {}],
  'POST /v1/keys/import': async (under) => {
    const recipient = await kmsRecipient(under.client(), 'a')
    const seed = Secret.take(new Uint8Array(32).fill(7))
    const version = { version: 1, kemId: 0x647a, state: 'primary' as const, createdAt: 1000, seed }
    const sealed = await sealKeyPackage({ key: 'new', purpose: 'wrap' }, [version], [recipient])
    return ['/v1/keys/import', json('POST', { key: 'new', package: toBase64url(sealed) })]
  },
  'POST /v1/keys/{key}/export': async (under) => {
    await under.service.keys.create(under.admin, { key: 'out', exportable: true })
    const recipient = generateIdentity().recipient.toString()
    return ['/v1/keys/out/export', json('POST', { recipient })]
  },
  'POST /v1/keys/{key}/data-keys': () => ['/v1/keys/a/data-keys', json('POST', { context: {} })],
  'POST /v1/keys/{key}/decapsulate': async (under) => {
    const { publicKey } = await rawKey(under)
    const { encapsulatedKey } = defaultSuite.kem.encapsulationKey(publicKey).encapsulate()
    const body = { version: 1, encapsulated_key: toBase64url(encapsulatedKey) }
    return ['/v1/keys/raw/decapsulate', json('POST', body)]
  },
  'GET /v1/keys/{key}/versions/{version}': () => ['/v1/keys/a/versions/1', {}],
  'POST /v1/keys/{key}/versions/{version}/destroy': async (under) => {
    await under.service.life.versions.setState(under.admin, 'a', 1, 'disabled')
    return ['/v1/keys/a/versions/1/destroy', { method: 'POST', headers: { 'if-match': '"3"' } }]
  },
  'POST /v1/keys/{key}/versions/{version}/restore': async (under) => {
    await under.service.life.versions.setState(under.admin, 'a', 1, 'disabled')
    await under.service.life.versions.destroy(under.admin, 'a', 1, 3)
    return ['/v1/keys/a/versions/1/restore', { method: 'POST' }]
  },
  'GET /v1/keys/{key}/versions/{version}/destroy-check': () => ['/v1/keys/a/versions/1/destroy-check', {}],
  'GET /v1/keys/{key}/census/{consumer}': async (under) => {
    await under.service.life.census.put(under.admin, 'a', 'users', { counts: null })
    return ['/v1/keys/a/census/users', {}]
  },
  'PUT /v1/keys/{key}/census/{consumer}': () => ['/v1/keys/a/census/users', json('PUT', { counts: [] })],
  'DELETE /v1/keys/{key}/census/{consumer}': async (under) => {
    await under.service.life.census.put(under.admin, 'a', 'users', { counts: null })
    return ['/v1/keys/a/census/users', { method: 'DELETE' }]
  },
  'GET /v1/aliases': () => ['/v1/aliases', {}],
  'GET /v1/aliases/{alias}': async (under) => {
    await under.service.life.aliases.put(under.admin, 'now', 'a')
    return ['/v1/aliases/now', {}]
  },
  'PUT /v1/aliases/{alias}': () => ['/v1/aliases/now', json('PUT', { key: 'a' })],
  'DELETE /v1/aliases/{alias}': async (under) => {
    await under.service.life.aliases.put(under.admin, 'now', 'a')
    return ['/v1/aliases/now', { method: 'DELETE' }]
  },
  'POST /v1/sys/seal': () => ['/v1/sys/seal', { method: 'POST' }],
  'GET /v1/sys/slots': () => ['/v1/sys/slots', {}],
  'POST /v1/sys/slots': () => ['/v1/sys/slots', json('POST', newSlot)],
  'DELETE /v1/sys/slots/{slot}': async (under) => {
    const { slot } = await under.service.slots.add(under.admin, { label: '', opener: new MemoryOpener() })
    return [`/v1/sys/slots/${slot}`, { method: 'DELETE' }]
  },
  'GET /v1/sys/root-rotations': () => ['/v1/sys/root-rotations', {}],
  'POST /v1/sys/root-rotations': () => ['/v1/sys/root-rotations', { method: 'POST' }],
  'GET /v1/sys/backups': () => ['/v1/sys/backups', {}],
  'POST /v1/sys/backups': () => ['/v1/sys/backups', { method: 'POST' }],
  'POST /v1/sys/backups/{backup}/confirm': async (under) => {
    const { row } = await takeBackup(under.service)
    const sha256 = Buffer.from(row.sha256 ?? []).toString('hex')
    return [`/v1/sys/backups/${row.backup}/confirm`, json('POST', { sha256 })]
  },
  'DELETE /v1/sys/backups/{backup}': async (under) => {
    const { row } = await takeBackup(under.service)
    return [`/v1/sys/backups/${row.backup}`, { method: 'DELETE' }]
  },
  'GET /v1/sys/clock': () => ['/v1/sys/clock', {}],
  'POST /v1/sys/clock/accept': () => ['/v1/sys/clock/accept', { method: 'POST' }],
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
  'POST /v1/principals': () => ['/v1/principals', json('POST', { principal: 'new' })],
  'GET /v1/principals': () => ['/v1/principals', {}],
  'GET /v1/principals/{principal}': async (under) => [await principalPath(under), {}],
  'PATCH /v1/principals/{principal}': async (under) => [
    await principalPath(under),
    json('PATCH', { disabled: true }),
  ],
  // What the token may give, it holds.
  'POST /v1/grants': async (under) => {
    await principalPath(under)
    return ['/v1/grants', json('POST', { principal: 'app', permissions: ['grants.create'] })]
  },
  'GET /v1/principals/{principal}/grants': async (under) => [`${await principalPath(under)}/grants`, {}],
  'DELETE /v1/principals/{principal}/grants/{grant}': async (under) => {
    const path = await principalPath(under)
    const grant = await under.client().access.createGrant({ principal: 'app', permissions: ['wrap'] })
    return [`${path}/grants/${grant.id}`, { method: 'DELETE' }]
  },
  'GET /v1/audit/events': () => ['/v1/audit/events?action=key.rotate', {}],
  'GET /v1/audit/checkpoints': () => ['/v1/audit/checkpoints', {}],
  'POST /v1/audit/checkpoints': () => ['/v1/audit/checkpoints', { method: 'POST' }],
  'GET /v1/audit/prunings': () => ['/v1/audit/prunings', {}],
  'POST /v1/audit/prunings': async (under) => {
    const { audit } = under.client()
    const { line } = await audit.checkpoint()
    const hash = createHash('sha256')
    for await (const entries of audit.covered(line))
      for (const one of entries) hash.update(auditExportLine(one))
    return ['/v1/audit/prunings', json('POST', { checkpoint: line, export_sha256: hash.digest('hex') })]
  },
  'POST /v1/audit/verify': () => ['/v1/audit/verify', json('POST', {})],
  'POST /v1/authz/explain': async (under) => {
    await principalPath(under)
    return ['/v1/authz/explain', json('POST', { principal: 'app', permission: 'wrap' })]
  },
  'DELETE /v1/tokens/{token}': async (under) => {
    const text = await under.token(['tokens.revoke'], [])
    return [`/v1/tokens/${text.split('_')[1]}`, { method: 'DELETE' }]
  },
}

/** For each permission that is taken beside that of a route: what takes both. */
export const requestsBeside = {
  'keys.policy': {
    route: 'keys.update',
    request: async (): Promise<Sent> => [
      '/v1/keys/a',
      { ...json('PATCH', { exportable: true }), headers: { ...jsonType, 'if-match': '"2"' } },
    ],
  },
  'keys.label': {
    route: 'keys.update',
    request: async (): Promise<Sent> => [
      '/v1/keys/a',
      { ...json('PATCH', { labels: { env: 'x' } }), headers: { ...jsonType, 'if-match': '"2"' } },
    ],
  },
  'census.assign': {
    route: 'census.write',
    request: async (under: TestService): Promise<Sent> => {
      await under.service.life.census.put(under.admin, 'a', 'users', { counts: null })
      return ['/v1/keys/a/census/users', json('PUT', { counts: [] })]
    },
  },
  'unwrap.compromised': {
    route: 'unwrap',
    request: async (under: TestService): Promise<Sent> => {
      const sent = await requests['POST /v1/unwrap'](under)
      await under.service.life.versions.setState(under.admin, 'a', 2, 'compromised')
      return sent
    },
  },
} as const

/** Of a principal that is there. */
async function principalPath(under: TestService): Promise<string> {
  const { access } = under.client()
  const isThere = (await access.listPrincipals()).some(({ principal }) => principal === 'app')
  if (!isThere) await access.createPrincipal('app')
  return '/v1/principals/app'
}
