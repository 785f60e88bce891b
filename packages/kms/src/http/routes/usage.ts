/** What is known of the use of keys: counters of the service, and what stores of wrapped keys count. */

import { createRoute } from '@hono/zod-openapi'
import type { CensusInfo } from '@longhold/core/kms'

import type { CensusRow, VersionRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import { noUsage, usesWithin } from '../../service/usage-counts.ts'
import { censusInfo, censusParams, censusRequest, keyParams, usagePage } from '../../wire-keys.ts'
import { pageQuery } from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time, timeOrNull } from '../documents.ts'
import type { App } from '../env.ts'
import { numberPageRequest, pageAnswer } from '../pages.ts'
import { secured } from '../secured.ts'

const getUsage = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/usage',
  summary: 'Read how much each version is used',
  request: { params: keyParams, query: pageQuery },
  responses: { 200: jsonAnswer(usagePage, 'Uses of the versions, ascending'), ...problems },
})
const getCensus = createRoute({
  method: 'get',
  path: '/v1/keys/{key}/census/{consumer}',
  summary: 'Read what a consumer counted',
  request: { params: censusParams },
  responses: { 200: jsonAnswer(censusInfo, 'Its last count'), ...problems },
})
const putCensus = createRoute({
  method: 'put',
  path: '/v1/keys/{key}/census/{consumer}',
  summary: 'Say how many wrapped keys a consumer holds',
  description:
    'Also registers it: no version is safe to destroy before each registered consumer counted. From then on only whoever ' +
    'registered it speaks for it; who does instead is said with `assign_to`, which takes the permission `census.assign`.',
  request: { params: censusParams, body: jsonRequest(censusRequest) },
  responses: { 200: jsonAnswer(censusInfo, 'The count'), ...problems },
})
const removeCensus = createRoute({
  method: 'delete',
  path: '/v1/keys/{key}/census/{consumer}',
  summary: 'End a consumer',
  request: { params: censusParams },
  responses: { 204: { description: 'It counts no more' }, ...problems },
})

export function usageRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { versions, usage, census, time: clock } = service.life

  route(getUsage, async (c) => {
    const query = c.req.valid('query')
    const { key } = c.req.valid('param')
    const request = numberPageRequest(c, query)
    const rows = await versions.list(c.get('caller'), key, request)
    const used = await usage.within(key, request.after, rows.at(-1)?.version ?? 0)
    const now = await clock.latest()
    const itemOf = ({ version }: VersionRow) => {
      const one = used.get(version) ?? noUsage
      return {
        version,
        uses: one.total,
        uses_30_days: usesWithin(one, 30, now),
        uses_90_days: usesWithin(one, 90, now),
        last_used_at: one.total === 0 ? null : time(one.lastUsedAt),
      }
    }
    const page = { positionOf: ({ version }: VersionRow) => version, itemOf }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(getCensus, async (c) => {
    const { key, consumer } = c.req.valid('param')
    return c.json(describeCensus(await census.get(c.get('caller'), key, consumer)), 200)
  })

  route(putCensus, async (c) => {
    const { key, consumer } = c.req.valid('param')
    const { counts, assign_to: assignTo } = c.req.valid('json')
    const pairs = counts && counts.map(({ version, wrapped_keys: count }) => [version, count] as const)
    const wanted = { counts: pairs, assignTo }
    return c.json(describeCensus(await census.put(c.get('caller'), key, consumer, wanted)), 200)
  })

  route(removeCensus, async (c) => {
    const { key, consumer } = c.req.valid('param')
    await census.remove(c.get('caller'), key, consumer)
    return c.body(null, 204)
  })
}

function describeCensus({ consumer, counts, takenAt, principal, token }: CensusRow): CensusInfo {
  return {
    consumer,
    counts: counts && counts.map(([version, count]) => ({ version, wrapped_keys: count })),
    taken_at: timeOrNull(takenAt),
    registered_by: { principal, token },
  }
}
