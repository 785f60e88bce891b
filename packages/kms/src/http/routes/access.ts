/** `/v1/principals`, their grants, and `/v1/authz/explain`. */

import { createRoute } from '@hono/zod-openapi'
import type { GrantInfo, PrincipalInfo } from '@longhold/core/kms'

import type { GrantRow, PrincipalRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import {
  createGrantRequest,
  createPrincipalRequest,
  explainRequest,
  explanation,
  grantInfo,
  grantPage,
  grantParams,
  principalInfo,
  principalPage,
  principalParams,
  updatePrincipalRequest,
} from '../../wire-access.ts'
import { pageQuery } from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time, timeOrNull } from '../documents.ts'
import type { App } from '../env.ts'
import { pageAnswer, pageRequest } from '../pages.ts'
import { secured } from '../secured.ts'

const createPrincipal = createRoute({
  method: 'post',
  path: '/v1/principals',
  summary: 'Make a principal',
  request: { body: jsonRequest(createPrincipalRequest) },
  responses: { 201: jsonAnswer(principalInfo, 'The principal, which may do nothing yet'), ...problems },
})
const listPrincipals = createRoute({
  method: 'get',
  path: '/v1/principals',
  summary: 'List principals',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(principalPage, 'Principals by name'), ...problems },
})
const readPrincipal = createRoute({
  method: 'get',
  path: '/v1/principals/{principal}',
  summary: 'Read a principal',
  request: { params: principalParams },
  responses: { 200: jsonAnswer(principalInfo, 'The principal'), ...problems },
})
const updatePrincipal = createRoute({
  method: 'patch',
  path: '/v1/principals/{principal}',
  summary: 'Switch a principal off or on',
  request: { params: principalParams, body: jsonRequest(updatePrincipalRequest) },
  responses: { 200: jsonAnswer(principalInfo, 'The principal as it is now'), ...problems },
})
const createGrant = createRoute({
  method: 'post',
  path: '/v1/grants',
  summary: 'Grant permissions to a principal',
  request: { body: jsonRequest(createGrantRequest) },
  responses: { 201: jsonAnswer(grantInfo, 'The rule'), ...problems },
})
const listGrants = createRoute({
  method: 'get',
  path: '/v1/principals/{principal}/grants',
  summary: 'List the grants of a principal',
  request: { params: principalParams, query: pageQuery },
  responses: { 200: jsonAnswer(grantPage, 'The rules of the principal'), ...problems },
})
const deleteGrant = createRoute({
  method: 'delete',
  path: '/v1/principals/{principal}/grants/{grant}',
  summary: 'Take a grant back',
  request: { params: grantParams },
  responses: { 204: { description: 'Taken away' }, ...problems },
})
const explain = createRoute({
  method: 'post',
  path: '/v1/authz/explain',
  summary: 'Why something is allowed or refused',
  request: { body: jsonRequest(explainRequest) },
  responses: { 200: jsonAnswer(explanation, 'What would be decided, and by which rules'), ...problems },
})

export function accessRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { grants } = service

  route(createPrincipal, async (c) => {
    const { principal, description = '' } = c.req.valid('json')
    return c.json(
      describePrincipal(await grants.createPrincipal(c.get('caller'), principal, description)),
      201,
    )
  })

  route(listPrincipals, async (c) => {
    const query = c.req.valid('query')
    const rows = await grants.principals(pageRequest(c, query))
    const page = { positionOf: ({ principal }: PrincipalRow) => principal, itemOf: describePrincipal }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(readPrincipal, async (c) => {
    return c.json(describePrincipal(await grants.principal(c.req.valid('param').principal)), 200)
  })

  route(updatePrincipal, async (c) => {
    const { principal } = c.req.valid('param')
    const { disabled } = c.req.valid('json')
    return c.json(describePrincipal(await grants.setDisabled(c.get('caller'), principal, disabled)), 200)
  })

  route(createGrant, async (c) => {
    const wanted = c.req.valid('json')
    const { context } = wanted
    const row = await grants.create(c.get('caller'), {
      principal: wanted.principal,
      effect: wanted.effect ?? 'allow',
      permissions: [...new Set(wanted.permissions)],
      keys: wanted.keys === undefined ? null : [...new Set(wanted.keys)],
      labels: wanted.labels ?? null,
      context: context === undefined ? null : { match: context.match, pairs: Object.entries(context.pairs) },
      notBefore: timeOf(wanted.not_before),
      notAfter: timeOf(wanted.not_after),
      networks: wanted.networks === undefined ? null : [...new Set(wanted.networks)],
      uses: wanted.uses ?? null,
    })
    return c.json(describeGrant(row), 201)
  })

  route(listGrants, async (c) => {
    const query = c.req.valid('query')
    const rows = await grants.page(c.req.valid('param').principal, pageRequest(c, query))
    const page = { positionOf: ({ grant }: GrantRow) => grant, itemOf: describeGrant }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(deleteGrant, async (c) => {
    const { principal, grant } = c.req.valid('param')
    await grants.remove(c.get('caller'), principal, grant)
    return c.body(null, 204)
  })

  route(explain, async (c) => {
    const { at, context, ...wish } = c.req.valid('json')
    const pairs = context === undefined ? undefined : Object.entries(context)
    const when = timeOf(at) ?? c.get('caller').principal.at
    const { allowed, by, visible } = await service.explain({ ...wish, context: pairs, at: when })
    return c.json({ allowed, by: [...by], visible }, 200)
  })
}

function timeOf(text: string | undefined): number | null {
  return text === undefined ? null : Date.parse(text)
}

function describePrincipal(row: PrincipalRow): PrincipalInfo {
  return {
    principal: row.principal,
    description: row.description,
    disabled_at: timeOrNull(row.disabledAt),
    created_at: time(row.createdAt),
  }
}

function describeGrant(row: GrantRow): GrantInfo {
  const { context } = row
  return {
    id: row.grant,
    principal: row.principal,
    effect: row.effect,
    permissions: [...row.permissions],
    keys: row.keys === null ? null : [...row.keys],
    labels: row.labels,
    context: context && { match: context.match, pairs: Object.fromEntries(context.pairs) },
    not_before: timeOrNull(row.notBefore),
    not_after: timeOrNull(row.notAfter),
    networks: row.networks === null ? null : [...row.networks],
    uses_left: row.usesLeft,
    created_at: time(row.createdAt),
  }
}
