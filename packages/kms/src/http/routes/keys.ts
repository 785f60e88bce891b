/** `/v1/keys`: keys, their versions, rotation, public keys. */

import { createRoute } from '@hono/zod-openapi'
import { toBase64url } from '@longhold/core'
import type { KeyInfo, VersionInfo } from '@longhold/core/kms'

import type { KeySummary, VersionRow } from '../../service/key-store.ts'
import type { Service } from '../../service/service.ts'
import { suiteName } from '../../service/suites.ts'
import {
  createKeyRequest,
  keyInfo,
  keyPage,
  keyParams,
  pageQuery,
  publicKeyBundle,
  updateVersionRequest,
  versionInfo,
  versionPage,
  versionParams,
} from '../../wire.ts'
import {
  jsonAnswer,
  jsonRequest,
  problems,
  readCursor,
  readNumberCursor,
  time,
  timeOrNull,
  toPage,
} from '../documents.ts'
import type { App } from '../env.ts'
import { secured } from '../secured.ts'

const createKey = createRoute({
  method: 'post',
  path: '/v1/keys',
  request: { body: jsonRequest(createKeyRequest) },
  responses: { 201: jsonAnswer(keyInfo, 'The key, with version 1'), ...problems },
})
const listKeys = createRoute({
  method: 'get',
  path: '/v1/keys',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(keyPage, 'The keys the token may see, by name'), ...problems },
})
const getKey = createRoute({
  method: 'get',
  path: '/v1/keys/{key}',
  request: { params: keyParams },
  responses: { 200: jsonAnswer(keyInfo, 'The key'), ...problems },
})
const rotateKey = createRoute({
  method: 'post',
  path: '/v1/keys/{key}/rotate',
  request: { params: keyParams },
  responses: { 200: jsonAnswer(keyInfo, 'The key, with its new primary version'), ...problems },
})
const listVersions = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/versions',
  request: { params: keyParams, query: pageQuery },
  responses: { 200: jsonAnswer(versionPage, 'The versions, ascending'), ...problems },
})
const updateVersion = createRoute({
  method: 'patch',
  path: '/v1/keys/{key}/versions/{version}',
  request: { params: versionParams, body: jsonRequest(updateVersionRequest) },
  responses: { 200: jsonAnswer(versionInfo, 'The version in its new state'), ...problems },
})
const getPublicKey = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/public-key',
  request: { params: keyParams },
  responses: { 200: jsonAnswer(publicKeyBundle, 'What a writer needs'), ...problems },
})

export function keyRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { keys } = service

  route(createKey, async (c) => {
    const { key, rewrap_to: rewrapTo = [] } = c.req.valid('json')
    return c.json(describeKey(await keys.create(c.get('caller'), key, rewrapTo)), 201)
  })

  route(listKeys, async (c) => {
    const { cursor, limit } = c.req.valid('query')
    const rows = await keys.list(c.get('caller'), { after: readCursor(cursor), limit: limit + 1 })
    return c.json(
      toPage(rows, limit, ({ key }) => key, describeKey),
      200,
    )
  })

  route(getKey, async (c) => {
    return c.json(describeKey(await keys.get(c.get('caller'), c.req.valid('param').key)), 200)
  })

  route(rotateKey, async (c) => {
    return c.json(describeKey(await keys.rotate(c.get('caller'), c.req.valid('param').key)), 200)
  })

  route(listVersions, async (c) => {
    const { cursor, limit } = c.req.valid('query')
    const page = { after: readNumberCursor(cursor), limit: limit + 1 }
    const rows = await keys.versions(c.get('caller'), c.req.valid('param').key, page)
    return c.json(
      toPage(rows, limit, ({ version }) => String(version), describeVersion),
      200,
    )
  })

  route(updateVersion, async (c) => {
    const { key, version } = c.req.valid('param')
    const { state } = c.req.valid('json')
    return c.json(describeVersion(await keys.setState(c.get('caller'), key, version, state)), 200)
  })

  route(getPublicKey, async (c) => {
    const bundle = await keys.publicKey(c.get('caller'), c.req.valid('param').key)
    return c.json(
      {
        key: bundle.key,
        version: bundle.version,
        generation: bundle.generation,
        recipient: bundle.recipient.toString(),
        recipient_ids: bundle.recipientIds.map((id) => toBase64url(id)),
        issued_at: time(bundle.issuedAt),
        not_after: time(bundle.notAfter),
      },
      200,
    )
  })
}

function describeKey(row: KeySummary): KeyInfo {
  return {
    key: row.key,
    purpose: row.purpose,
    suite: suiteName(row.kemId),
    primary_version: row.primaryVersion,
    version_count: row.latestVersion,
    generation: row.generation,
    rewrap_to: [...row.rewrapTo],
    created_at: time(row.createdAt),
    rotated_at: timeOrNull(row.rotatedAt),
  }
}

function describeVersion(row: VersionRow): VersionInfo {
  return {
    version: row.version,
    state: row.state,
    recipient_id: toBase64url(row.recipientId),
    created_at: time(row.createdAt),
    state_changed_at: time(row.stateChangedAt),
  }
}
