/** `/v1/tokens`: made, listed, revoked. */

import { createRoute } from '@hono/zod-openapi'
import type { TokenInfo } from '@longhold/core/kms'

import type { TokenRow } from '../../service/rows.ts'
import type { Service } from '../../service/service.ts'
import {
  createdToken,
  createTokenRequest,
  pageQuery,
  revokedTokens,
  revokeTokenQuery,
  tokenPage,
  tokenParams,
} from '../../wire.ts'
import { jsonAnswer, jsonRequest, problems, time, timeOrNull } from '../documents.ts'
import type { App } from '../env.ts'
import { pageAnswer, pageRequest } from '../pages.ts'
import { secured } from '../secured.ts'

const createToken = createRoute({
  method: 'post',
  path: '/v1/tokens',
  summary: 'Make a token',
  request: { body: jsonRequest(createTokenRequest) },
  responses: { 201: jsonAnswer(createdToken, 'The token; its text is shown this once'), ...problems },
})
const listTokens = createRoute({
  method: 'get',
  path: '/v1/tokens',
  summary: 'List tokens',
  request: { query: pageQuery },
  responses: { 200: jsonAnswer(tokenPage, 'Tokens with no rights beyond those of the caller'), ...problems },
})
const revokeToken = createRoute({
  method: 'delete',
  path: '/v1/tokens/{token}',
  summary: 'End a token at once, and those that were made with it',
  description:
    'Also those that these made; but neither the token of this request nor what that made. `descendants=keep` leaves them.',
  request: { params: tokenParams, query: revokeTokenQuery },
  responses: { 200: jsonAnswer(revokedTokens, 'What was revoked'), ...problems },
})

export function tokenRoutes(app: App, service: Service): void {
  const route = secured(app, service)
  const { tokens } = service

  route(createToken, async (c) => {
    const { name, principal = null, permissions, keys, expires_at: expiresAt } = c.req.valid('json')
    const { row, text } = await tokens.create(c.get('caller'), {
      name,
      principal,
      permissions,
      keys: keys ?? null,
      expiresAt: expiresAt === undefined ? null : Date.parse(expiresAt),
    })
    return c.json({ ...describeToken(row), token: text }, 201)
  })

  route(listTokens, async (c) => {
    const query = c.req.valid('query')
    const rows = await tokens.list(c.get('caller'), pageRequest(c, query))
    const page = { positionOf: ({ token }: TokenRow) => token, itemOf: describeToken }
    return c.json(pageAnswer(c, query, rows, page), 200)
  })

  route(revokeToken, async (c) => {
    const { token } = c.req.valid('param')
    const isAlone = c.req.valid('query').descendants === 'keep'
    const { descendants } = await tokens.revoke(c.get('caller'), token, { isAlone })
    return c.json({ id: token, descendants }, 200)
  })
}

function describeToken(row: TokenRow): TokenInfo {
  return {
    id: row.token,
    name: row.name,
    principal: row.principal,
    permissions: [...row.permissions],
    keys: row.keys === null ? null : [...row.keys],
    created_at: time(row.createdAt),
    expires_at: timeOrNull(row.expiresAt),
    revoked_at: timeOrNull(row.revokedAt),
  }
}
