/** `/v1/aliases`: second names of keys, for writers. */

import { createRoute } from '@hono/zod-openapi'
import type { AliasInfo } from '@longhold/core/kms'

import type { AliasRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import { aliasInfo, aliasPage, aliasParams, putAliasRequest } from '../../wire-keys.ts'
import { pageQuery } from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time } from '../documents.ts'
import type { App } from '../env.ts'
import { pageAnswer, pageRequest } from '../pages.ts'
import { tagGeneration } from '../preconditions.ts'
import { secured } from '../secured.ts'

const listAliases = createRoute({
  method: 'get',
  path: '/v1/aliases',
  summary: 'List aliases',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(aliasPage, 'The aliases of keys the token may see, by name'), ...problems },
})
const getAlias = createRoute({
  method: 'get',
  path: '/v1/aliases/{alias}',
  summary: 'Read an alias',
  request: { params: aliasParams },
  responses: { 200: jsonAnswer(aliasInfo, 'The alias'), ...problems },
})
const putAlias = createRoute({
  method: 'put',
  path: '/v1/aliases/{alias}',
  summary: 'Point an alias at a key',
  request: { params: aliasParams, body: jsonRequest(putAliasRequest) },
  responses: { 200: jsonAnswer(aliasInfo, 'The alias'), ...problems },
})
const removeAlias = createRoute({
  method: 'delete',
  path: '/v1/aliases/{alias}',
  summary: 'End an alias',
  request: { params: aliasParams },
  responses: { 204: { description: 'It is no more' }, ...problems },
})

export function aliasRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { aliases } = service.life

  route(listAliases, async (c) => {
    const query = c.req.valid('query')
    const rows = await aliases.list(c.get('caller'), pageRequest(c, query))
    const page = { positionOf: ({ alias }: AliasRow) => alias, itemOf: describeAlias }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(getAlias, async (c) => {
    const row = await aliases.get(c.get('caller'), c.req.valid('param').alias)
    tagGeneration(c, row.generation)
    return c.json(describeAlias(row), 200)
  })

  route(putAlias, async (c) => {
    const row = await aliases.put(c.get('caller'), c.req.valid('param').alias, c.req.valid('json').key)
    tagGeneration(c, row.generation)
    return c.json(describeAlias(row), 200)
  })

  route(removeAlias, async (c) => {
    await aliases.remove(c.get('caller'), c.req.valid('param').alias)
    return c.body(null, 204)
  })
}

function describeAlias(row: AliasRow & { readonly generation: number }): AliasInfo {
  const { alias, key, generation, createdAt, changedAt } = row
  return { alias, key, generation, created_at: time(createdAt), changed_at: time(changedAt) }
}
