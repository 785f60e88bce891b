/** `/v1/keys`: keys themselves, and what writers need of them. */

import { createRoute } from '@hono/zod-openapi'
import { toBase64url, toHex } from '@longhold/core'

import { signBundle } from '../../service/bundle.ts'
import type { KeySummary } from '../../service/keys.ts'
import type { Service } from '../../service/service.ts'
import {
  createKeyRequest,
  keyInfo,
  keyPage,
  keyParams,
  publicKeyQuery,
  updateKeyRequest,
} from '../../wire-keys.ts'
import { pageQuery, publicKeyBundle } from '../../wire.ts'
import { describeKey, settingsOf, taggedKey } from '../describe-keys.ts'
import { jsonAnswer, jsonRequest, problems, time } from '../documents.ts'
import type { App } from '../env.ts'
import { pageAnswer, pageRequest } from '../pages.ts'
import { requiredGeneration } from '../preconditions.ts'
import { secured } from '../secured.ts'

const createKey = createRoute({
  method: 'post',
  path: '/v1/keys',
  summary: 'Make a key',
  request: { body: jsonRequest(createKeyRequest) },
  responses: { 201: jsonAnswer(keyInfo, 'The key, with version 1'), ...problems },
})
const listKeys = createRoute({
  method: 'get',
  path: '/v1/keys',
  summary: 'List keys',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(keyPage, 'The keys the token may see, by name'), ...problems },
})
const getKey = createRoute({
  method: 'get',
  path: '/v1/keys/{key}',
  summary: 'Read a key',
  request: { params: keyParams },
  responses: { 200: jsonAnswer(keyInfo, 'The key'), ...problems },
})
const updateKey = createRoute({
  method: 'patch',
  path: '/v1/keys/{key}',
  summary: 'Change what is said of a key',
  description:
    'Takes `If-Match`. Labels take the permission `keys.label` too; what loosens the protection of the key — more of ' +
    '`rewrap_to`, `exportable`, no longer `issued_only`, a lower `min_unwrap_version`, a shorter `destroy_after_seconds`, `enabled` again — ' +
    'takes `keys.policy`.',
  request: { params: keyParams, body: jsonRequest(updateKeyRequest) },
  responses: { 200: jsonAnswer(keyInfo, 'The key as it is now'), ...problems },
})
const getPublicKey = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/public-key',
  summary: 'Read what writers need',
  description:
    'The key may be named by an alias. A `raw-kem` key is asked for as one, so that nobody wraps for it.',
  request: { params: keyParams, query: publicKeyQuery },
  responses: { 200: jsonAnswer(publicKeyBundle, 'What a writer needs'), ...problems },
})

export function keyRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { keys } = service

  route(createKey, async (c) => {
    const body = c.req.valid('json')
    const wanted = { key: body.key, purpose: body.purpose, ...settingsOf(body) }
    return c.json(taggedKey(c, await keys.create(c.get('caller'), wanted)), 201)
  })

  route(listKeys, async (c) => {
    const query = c.req.valid('query')
    const rows = await keys.list(c.get('caller'), pageRequest(c, query))
    const page = { positionOf: ({ key }: KeySummary) => key, itemOf: describeKey }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(getKey, async (c) => {
    return c.json(taggedKey(c, await keys.get(c.get('caller'), c.req.valid('param').key)), 200)
  })

  route(updateKey, async (c) => {
    const body = c.req.valid('json')
    const { enabled, min_unwrap_version: minUnwrapVersion } = body
    const changes = { ...settingsOf(body), enabled, minUnwrapVersion }
    const { key } = c.req.valid('param')
    return c.json(taggedKey(c, await keys.update(c.get('caller'), key, requiredGeneration(c), changes)), 200)
  })

  route(getPublicKey, async (c) => {
    const { key: name } = c.req.valid('param')
    const bundle = await keys.publicKey(c.get('caller'), name, c.req.valid('query').purpose)
    return c.json(
      {
        key: bundle.key,
        version: bundle.version,
        generation: bundle.generation,
        recipient: bundle.recipient.toString(),
        recipient_ids: bundle.recipientIds.map((id) => toBase64url(id)),
        issued_at: time(bundle.issuedAt),
        not_after: time(bundle.notAfter),
        cluster_id: toHex(service.signer.clusterId),
        signature: toBase64url(signBundle(service.signer, name, bundle)),
      },
      200,
    )
  })
}
