/**
 * The schemas of requests and responses. Handlers validate with them and OpenAPI describes them; the compiler
 * holds them to the types of `@longhold/core/kms`.
 */

import { z } from '@hono/zod-openapi'
// zod itself gets `.openapi()` from here.
import { permissions, problemCodes } from '@longhold/core/kms'
import type {
  AcceptRollbackRequest,
  CreateSlotRequest,
  CreateTokenRequest,
  CreatedSlot,
  CreatedToken,
  InitAnswer,
  InitRequest,
  ItemProblem,
  Page,
  Permission,
  Problem,
  ProblemCode,
  PublicKeyBundle,
  RevokedTokens,
  RewrapAnswer,
  RewrapItem,
  RewrapRequest,
  RewrapResponse,
  RollbackAnswer,
  RootRotation,
  SealStatus,
  SigningIdentity,
  SlotInfo,
  SlotKind,
  TokenInfo,
  UnsealRequest,
  UnwrapAnswer,
  UnwrapItem,
  UnwrapRequest,
  UnwrapResponse,
} from '@longhold/core/kms'

export const maxItems = 1000
const maxPageSize = 1000
const defaultPageSize = 100

/** Each assignable to the other, and with the same names: an optional field left out is assignable too. */
type IsSame<A, B> = [A, B, keyof A, keyof B] extends [B, A, keyof B, keyof A] ? true : false

/**
 * Compiles only when a schema's type is that of `T`.
 *
 * @param name Its name in the description of the API; schemas without one are written out where they are used.
 */
export function wire<T>(name?: string) {
  return <S extends z.ZodType>(
    schema: S & (IsSame<z.output<S>, T> extends true ? unknown : { readonly differs: z.output<S> }),
  ): S => (name === undefined ? schema : schema.openapi(name))
}

export const permission = wire<Permission>('Permission')(z.enum(permissions))

const problemCode = wire<ProblemCode>('ProblemCode')(z.enum(problemCodes))

export const problem = wire<Problem>('Problem')(
  z.strictObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: problemCode,
    request_id: z.string(),
  }),
)

const itemProblem = wire<ItemProblem>('ItemProblem')(
  z.strictObject({ status: z.int(), code: problemCode, detail: z.string() }),
)

export const principalName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,63}$/u,
    'a principal is named with 1 to 64 of a-z 0-9 . _ -, a letter or digit first',
  )
  .openapi({ example: 'billing' })
export const keyName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,63}$/u,
    'a key is named with 1 to 64 of a-z 0-9 . _ -, a letter or digit first',
  )
  .openapi({ example: 'payments' })
export const tokenId = z
  .string()
  .regex(/^[0-9a-f]{24}$/u, 'the id of a token has 24 hexadecimal digits')
  .openapi({ example: '5f2c9e4b8d1a7c3e6f0b2d94' })
export const time = z.iso.datetime().openapi({ example: '2026-11-25T12:00:00.000Z' })
/** Of exactly so many bytes, or of any number up to a limit. Decoded strictly where it is read. */
export const bytes = (length: number) => base64url.length(Math.ceil((length * 4) / 3))
export const bytesUpTo = (length: number) => base64url.max(Math.ceil((length * 4) / 3))
const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/u, 'bytes are base64url without padding')
const itemId = z.string().min(1).max(128)

/** As it came: `z.record` would lose a pair named `__proto__`, and with it what the context binds. */
export const context = z
  .custom<Record<string, string>>(isContext, 'a context is an object of strings')
  .openapi({ type: 'object', additionalProperties: { type: 'string' }, example: { tenant: 'acme' } })

function isContext(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((one) => typeof one === 'string')
}

const items = <S extends z.ZodType>(item: S) => z.array(item).min(1).max(maxItems)
export const page = <S extends z.ZodType>(item: S) =>
  z.strictObject({ items: z.array(item), next_cursor: z.string().optional() })

export const health = z.strictObject({ status: z.literal('ok') })

export const tokenParams = z.strictObject({ token: tokenId })
export const pageQuery = z.strictObject({
  cursor: z.string().max(512).optional(),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/u, 'limit is a number')
    .transform(Number)
    .refine((limit) => limit <= maxPageSize, `at most ${maxPageSize} at once`)
    .optional()
    .transform((limit) => limit ?? defaultPageSize),
})

const clusterId = z.string().openapi({ example: '7d1f0c3a9b2e4d5f8a6c1b0e3f2d4a59' })

export const publicKeyBundle = wire<PublicKeyBundle>('PublicKeyBundle')(
  z.strictObject({
    key: z.string(),
    version: z.int(),
    generation: z.int(),
    recipient: z.string(),
    recipient_ids: z.array(z.string()),
    issued_at: time,
    not_after: time,
    cluster_id: clusterId,
    signature: z.string(),
  }),
)
export const signingIdentity = wire<SigningIdentity>('SigningIdentity')(
  z.strictObject({
    cluster_id: clusterId,
    algorithm: z.literal('ML-DSA-65'),
    public_key: z.string(),
    fingerprint: z.string(),
  }),
)

const unwrapItem = wire<UnwrapItem>('UnwrapItem')(
  z.strictObject({ id: itemId, key_id: bytes(16), stanza: bytesUpTo(65_535), context }),
)
export const unwrapRequest = wire<UnwrapRequest>('UnwrapRequest')(
  z.strictObject({ items: items(unwrapItem) }),
)
const unwrapAnswer = wire<UnwrapAnswer>('UnwrapAnswer')(
  z.union([
    z.strictObject({ id: itemId, data_key: z.string(), key: z.string(), version: z.int() }),
    z.strictObject({ id: itemId, problem: itemProblem }),
  ]),
)
export const unwrapResponse = wire<UnwrapResponse>('UnwrapResponse')(
  z.strictObject({ items: z.array(unwrapAnswer) }),
)

const rewrapItem = wire<RewrapItem>('RewrapItem')(
  z.strictObject({
    id: itemId,
    wrapped_key: bytesUpTo(65_540),
    context,
    to: z.array(z.string().min(1).max(4096)).min(1).max(64).optional(),
  }),
)
export const rewrapRequest = wire<RewrapRequest>('RewrapRequest')(
  z.strictObject({ items: items(rewrapItem) }),
)
const rewrapAnswer = wire<RewrapAnswer>('RewrapAnswer')(
  z.union([
    z.strictObject({ id: itemId, wrapped_key: z.string(), key: z.string(), version: z.int() }),
    z.strictObject({ id: itemId, problem: itemProblem }),
  ]),
)
export const rewrapResponse = wire<RewrapResponse>('RewrapResponse')(
  z.strictObject({ items: z.array(rewrapAnswer) }),
)

export const createTokenRequest = wire<CreateTokenRequest>('CreateTokenRequest')(
  z.strictObject({
    name: z.string().min(1).max(100),
    principal: principalName.optional(),
    permissions: z.array(permission).min(1).max(permission.options.length),
    keys: z.array(keyName).max(1000).optional(),
    expires_at: time.optional(),
  }),
)

const tokenFields = {
  id: z.string(),
  name: z.string(),
  principal: principalName.nullable(),
  permissions: z.array(permission),
  keys: z.array(z.string()).nullable(),
  created_at: time,
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
}
export const tokenInfo = wire<TokenInfo>('TokenInfo')(z.strictObject(tokenFields))
export const tokenPage = wire<Page<TokenInfo>>()(page(tokenInfo))
export const createdToken = wire<CreatedToken>('CreatedToken')(
  z.strictObject({ ...tokenFields, token: z.string() }),
)
export const revokeTokenQuery = z.object({ descendants: z.enum(['revoke', 'keep']).optional() })
export const revokedTokens = wire<RevokedTokens>('RevokedTokens')(
  z.strictObject({ id: z.string(), descendants: z.array(z.string()) }),
)

const slotKind = wire<SlotKind>()(z.enum(['key-file', 'passphrase', 'shares', 'key-service']))
const given = z.strictObject({ given: z.int(), threshold: z.int() }).nullable()
export const sealStatus = wire<SealStatus>('SealStatus')(
  z.strictObject({
    sealed: z.boolean(),
    initialised: z.boolean(),
    kinds: z.array(slotKind),
    shares: given,
  }),
)
export const initRequest = wire<InitRequest>('InitRequest')(
  z.strictObject({
    production: z.boolean().optional(),
    single_slot: z.boolean().optional(),
    first_key: keyName.optional(),
  }),
)
export const initAnswer = wire<InitAnswer>('InitAnswer')(
  z.strictObject({
    cluster: z.string(),
    database: z.string(),
    key_file: z.string(),
    token_file: z.string(),
    fingerprint: z.string(),
    min_slots: z.int(),
    recipient: z.string().nullable(),
  }),
)
const passphrase = z.string().min(1).max(4096)
const share = z.string().min(1).max(200)
export const unsealRequest = wire<UnsealRequest>('UnsealRequest')(
  z.union([
    z.strictObject({ passphrase }),
    z.strictObject({ share }),
    z.strictObject({ key_file: bytes(32) }),
    z.strictObject({ key_service: z.literal(true) }),
    z.strictObject({ forget_shares: z.literal(true) }),
  ]),
)
const epochs = z
  .string()
  .regex(/^(?:any|\d{1,16}:(?:\d{1,16}|none))$/u, 'epochs are written as in 41:57, 41:none, or any')
  .optional()
export const acceptRollbackRequest = wire<AcceptRollbackRequest>('AcceptRollbackRequest')(
  z.union([
    z.strictObject({ epochs, passphrase }),
    z.strictObject({ epochs, share }),
    z.strictObject({ epochs, key_file: bytes(32) }),
    z.strictObject({ epochs, key_service: z.literal(true) }),
  ]),
)
export const rollbackAnswer = wire<RollbackAnswer>('RollbackAnswer')(
  z.strictObject({
    accepted: z.boolean(),
    what: z.string().nullable(),
    database_epoch: z.int().nullable(),
    anchor_epoch: z.int().nullable(),
    shares: given,
  }),
)

const slotFields = {
  slot: z.string(),
  kind: slotKind,
  label: z.string(),
  shares: z.strictObject({ threshold: z.int(), count: z.int() }).nullable(),
  root_version: z.int(),
  created_at: time,
}
export const slotInfo = wire<SlotInfo>('SlotInfo')(z.strictObject(slotFields))
export const slotList = z.strictObject({ items: z.array(slotInfo) })
const label = z.string().max(100)
export const createSlotRequest = wire<CreateSlotRequest>('CreateSlotRequest')(
  z.union([
    z.strictObject({ kind: z.literal('key-file'), label, key_file: bytes(32) }),
    z.strictObject({ kind: z.literal('passphrase'), label, passphrase }),
    z.strictObject({ kind: z.literal('shares'), label, threshold: z.int(), count: z.int() }),
    z.strictObject({ kind: z.literal('key-service'), label }),
  ]),
)
export const createdSlot = wire<CreatedSlot>('CreatedSlot')(
  z.strictObject({ ...slotFields, share_texts: z.array(z.string()) }),
)
export const slotParams = z.strictObject({
  slot: z.string().regex(/^[0-9a-f]{16}$/u, 'a slot is named with 16 hexadecimal digits'),
})
export const rootRotation = wire<RootRotation>('RootRotation')(
  z.strictObject({ root_version: z.int(), next_root_version: z.int().nullable(), rows_left: z.int() }),
)
