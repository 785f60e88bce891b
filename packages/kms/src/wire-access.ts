/** The schemas of what is asked and answered about principals and grants; see `wire.ts`. */

import { z } from '@hono/zod-openapi'
import type {
  ContextCondition,
  CreateGrantRequest,
  CreatePrincipalRequest,
  ExplainRequest,
  Explanation,
  GrantInfo,
  Page,
  PrincipalInfo,
  UpdatePrincipalRequest,
} from '@longhold/core/kms'

import { labels } from './wire-keys.ts'
import { context, keyName, page, permission, principalName, time, tokenId, wire } from './wire.ts'

const maxKeys = 1000
const maxNetworks = 32
const maxUses = 1_000_000_000

const grantId = z
  .string()
  .regex(/^[0-9a-f]{24}$/u, 'the id of a grant has 24 hexadecimal digits')
  .openapi({ example: '0d8c5b2a7e4f1936c8a5b2d1' })
const effect = z.enum(['allow', 'deny'])
const network = z.string().max(64).openapi({ example: '10.0.0.0/8' })

const contextCondition = wire<ContextCondition>()(
  z.strictObject({ match: z.enum(['equals', 'includes']), pairs: context }),
)

export const principalParams = z.strictObject({ principal: principalName })
export const grantParams = z.strictObject({ principal: principalName, grant: grantId })

export const createPrincipalRequest = wire<CreatePrincipalRequest>('CreatePrincipalRequest')(
  z.strictObject({ principal: principalName, description: z.string().max(256).optional() }),
)
export const updatePrincipalRequest = wire<UpdatePrincipalRequest>('UpdatePrincipalRequest')(
  z.strictObject({ disabled: z.boolean() }),
)
export const principalInfo = wire<PrincipalInfo>('PrincipalInfo')(
  z.strictObject({
    principal: principalName,
    description: z.string(),
    disabled_at: time.nullable(),
    created_at: time,
  }),
)
export const principalPage = wire<Page<PrincipalInfo>>('PrincipalPage')(page(principalInfo))

export const createGrantRequest = wire<CreateGrantRequest>('CreateGrantRequest')(
  z.strictObject({
    principal: principalName,
    effect: effect.optional(),
    permissions: z.array(permission).min(1),
    keys: z.array(keyName).min(1).max(maxKeys).optional(),
    labels: labels.optional(),
    context: contextCondition.optional(),
    not_before: time.optional(),
    not_after: time.optional(),
    networks: z.array(network).min(1).max(maxNetworks).optional(),
    uses: z.int().min(1).max(maxUses).optional(),
  }),
)
export const grantInfo = wire<GrantInfo>('GrantInfo')(
  z.strictObject({
    id: grantId,
    principal: principalName,
    effect,
    permissions: z.array(permission),
    keys: z.array(keyName).nullable(),
    // The library takes what a schema says of itself for all there is to say.
    labels: labels.nullable().openapi({ type: ['object', 'null'] }),
    context: contextCondition.nullable(),
    not_before: time.nullable(),
    not_after: time.nullable(),
    networks: z.array(network).nullable(),
    uses_left: z.int().nullable(),
    created_at: time,
  }),
)
export const grantPage = wire<Page<GrantInfo>>('GrantPage')(page(grantInfo))

export const explainRequest = wire<ExplainRequest>('ExplainRequest')(
  z.strictObject({
    principal: principalName.optional(),
    token: tokenId.optional(),
    permission,
    key: keyName.optional(),
    context: context.optional(),
    address: z.union([z.ipv4(), z.ipv6()]).optional(),
    at: time.optional(),
  }),
)
export const explanation = wire<Explanation>('Explanation')(
  z.strictObject({ allowed: z.boolean(), by: z.array(z.string()), visible: z.boolean() }),
)
