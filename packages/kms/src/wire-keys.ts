/** The schemas of what is asked and answered about keys and their versions; see `wire.ts`. */

import { z } from '@hono/zod-openapi'
import type {
  AliasInfo,
  CensusInfo,
  CensusRequest,
  ClockInfo,
  CreateDataKeysRequest,
  CreateDataKeysResponse,
  CreateKeyRequest,
  DecapsulateRequest,
  DecapsulateResponse,
  DestroyAnswer,
  DestroyCheck,
  DestroyVerdict,
  ExportKeyRequest,
  ImportKeyRequest,
  KeyExport,
  KeyInfo,
  KeyPurpose,
  Page,
  PackagedState,
  RotateKeyRequest,
  SettableState,
  UpdateKeyRequest,
  UpdateVersionRequest,
  VersionInfo,
  VersionState,
  VersionUsage,
  PutAliasRequest,
} from '@longhold/core/kms'

import {
  bytes,
  bytesUpTo,
  context,
  keyName,
  maxItems,
  page,
  principalName,
  time,
  tokenId,
  wire,
} from './wire.ts'

const maxTargets = 100
const maxLabels = 64
const maxCensusVersions = 20_000

const versionState = wire<VersionState>('VersionState')(
  z.enum(['pending', 'primary', 'unwrap_only', 'disabled', 'compromised', 'destroy_scheduled', 'destroyed']),
)
const settableState = wire<SettableState>('SettableState')(
  z.enum(['primary', 'unwrap_only', 'disabled', 'compromised']),
)
const packagedState = wire<PackagedState>('PackagedState')(
  z.enum(['primary', 'unwrap_only', 'disabled', 'compromised']),
)
const purpose = wire<KeyPurpose>('KeyPurpose')(z.enum(['wrap', 'raw-kem']))
const verdict = wire<DestroyVerdict>('DestroyVerdict')(z.enum(['safe', 'unsafe', 'unknown']))

/** Not `z.record`, which would lose a label named `__proto__`: grants go by labels. */
export const labels = z
  .custom<Record<string, string>>(
    areLabels,
    `labels are up to ${maxLabels} names of 1 to 63 of A-Z a-z 0-9 . _ / - with texts of up to 255 characters`,
  )
  .openapi({ type: 'object', additionalProperties: { type: 'string' }, example: { team: 'billing' } })

function areLabels(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const pairs = Object.entries(value)
  return (
    pairs.length <= maxLabels &&
    pairs.every(
      ([name, text]) =>
        /^[A-Za-z0-9._/-]{1,63}$/u.test(name) && typeof text === 'string' && text.length <= 255,
    )
  )
}

const versionNumber = z.int().min(1).max(999_999_999)
const consumer = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/u, 'a consumer is named like a key')
  .openapi({ example: 'users' })

const settings = {
  rewrap_to: z.array(keyName).max(maxTargets).optional(),
  labels: labels.optional(),
  rotate_every_seconds: z.int().min(3600).max(315_360_000).nullable().optional(),
  destroy_after_seconds: z.int().min(0).max(315_360_000).optional(),
  exportable: z.boolean().optional(),
  issued_only: z.boolean().optional(),
}
const creation = { key: keyName, purpose: purpose.optional(), ...settings }

export const keyParams = z.strictObject({ key: keyName })
export const versionParams = z.strictObject({
  key: keyName,
  version: z
    .string()
    .regex(/^[1-9]\d{0,8}$/u, 'versions are numbered 1, 2, 3, …')
    .transform(Number)
    .openapi({ example: '1' }),
})
export const publicKeyQuery = z.strictObject({ purpose: purpose.optional() })
export const censusParams = z.strictObject({ key: keyName, consumer })
export const aliasParams = z.strictObject({ alias: keyName })

export const createKeyRequest = wire<CreateKeyRequest>('CreateKeyRequest')(z.strictObject(creation))
export const updateKeyRequest = wire<UpdateKeyRequest>('UpdateKeyRequest')(
  z.strictObject({
    ...settings,
    enabled: z.boolean().optional(),
    min_unwrap_version: versionNumber.optional(),
  }),
)
export const keyInfo = wire<KeyInfo>('KeyInfo')(
  z.strictObject({
    key: z.string(),
    purpose,
    suite: z.string(),
    enabled: z.boolean(),
    primary_version: z.int(),
    version_count: z.int(),
    min_unwrap_version: z.int(),
    generation: z.int(),
    labels,
    rewrap_to: z.array(z.string()),
    rotation: z.strictObject({ every_seconds: z.int(), next_at: time }).nullable(),
    destroy_after_seconds: z.int(),
    exportable: z.boolean(),
    exported_at: time.nullable(),
    imported: z.boolean(),
    issued_only: z.boolean(),
    created_at: time,
    rotated_at: time.nullable(),
  }),
)
export const keyPage = wire<Page<KeyInfo>>()(page(keyInfo))
export const rotateKeyRequest = wire<RotateKeyRequest>('RotateKeyRequest')(
  z.strictObject({ activate: z.enum(['now', 'pending']).optional() }),
)

const versionFields = {
  version: z.int(),
  state: versionState,
  recipient_id: z.string(),
  created_at: time,
  state_changed_at: time,
  destroy_at: time.nullable(),
}
export const versionInfo = wire<VersionInfo>('VersionInfo')(z.strictObject(versionFields))
export const versionPage = wire<Page<VersionInfo>>()(page(versionInfo))
export const updateVersionRequest = wire<UpdateVersionRequest>('UpdateVersionRequest')(
  z.strictObject({ state: settableState }),
)

const holdingBackup = z.strictObject({ backup: z.string(), taken_at: time, expires_at: time.nullable() })
export const destroyAnswer = wire<DestroyAnswer>('DestroyAnswer')(
  z.strictObject({ ...versionFields, backups: z.array(holdingBackup) }),
)
export const destroyCheck = wire<DestroyCheck>('DestroyCheck')(
  z.strictObject({
    verdict,
    reasons: z.array(z.strictObject({ code: z.string(), speaks_for: verdict, detail: z.string() })),
    checked_at: time,
  }),
)

const versionUsage = wire<VersionUsage>('VersionUsage')(
  z.strictObject({
    version: z.int(),
    uses: z.int(),
    uses_30_days: z.int(),
    uses_90_days: z.int(),
    last_used_at: time.nullable(),
  }),
)
export const usagePage = wire<Page<VersionUsage>>()(page(versionUsage))

const count = z.strictObject({
  version: versionNumber,
  wrapped_keys: z
    .int()
    .min(0)
    .max(2 ** 48),
})
const counts = z
  .array(count)
  .max(maxCensusVersions)
  .refine(
    (all) => new Set(all.map(({ version }) => version)).size === all.length,
    'a version is counted twice',
  )
  .nullable()
export const censusRequest = wire<CensusRequest>('CensusRequest')(
  z
    .strictObject({
      counts: counts.optional(),
      assign_to: z
        .union([z.strictObject({ principal: principalName }), z.strictObject({ token: tokenId })])
        .optional(),
    })
    .refine((said) => said.counts !== undefined || said.assign_to !== undefined, {
      error: 'say counts, or to whom it is assigned',
    }),
)
export const censusInfo = wire<CensusInfo>('CensusInfo')(
  z.strictObject({
    counts: z.array(count).nullable(),
    consumer: z.string(),
    taken_at: time.nullable(),
    registered_by: z.strictObject({ principal: z.string().nullable(), token: z.string() }),
  }),
)

export const createDataKeysRequest = wire<CreateDataKeysRequest>('CreateDataKeysRequest')(
  z.strictObject({
    count: z.int().min(1).max(maxItems).optional(),
    context,
    plaintext: z.boolean().optional(),
  }),
)
export const createDataKeysResponse = wire<CreateDataKeysResponse>('CreateDataKeysResponse')(
  z.strictObject({
    key: z.string(),
    version: z.int(),
    items: z.array(
      z.strictObject({ key_id: z.string(), wrapped_key: z.string(), data_key: z.string().optional() }),
    ),
  }),
)

export const decapsulateRequest = wire<DecapsulateRequest>('DecapsulateRequest')(
  z.strictObject({ version: versionNumber, encapsulated_key: bytesUpTo(4096) }),
)
export const decapsulateResponse = wire<DecapsulateResponse>('DecapsulateResponse')(
  z.strictObject({ version: z.int(), shared_secret: bytes(32) }),
)

export const exportKeyRequest = wire<ExportKeyRequest>('ExportKeyRequest')(
  z.strictObject({ recipient: z.string().min(1).max(4096) }),
)
export const keyExport = wire<KeyExport>('KeyExport')(
  z.strictObject({
    key: z.string(),
    purpose,
    versions: z.array(z.strictObject({ version: z.int(), state: packagedState })),
    package: z.string(),
  }),
)
export const importKeyRequest = wire<ImportKeyRequest>('ImportKeyRequest')(
  z.strictObject({ ...creation, package: bytesUpTo(640 * 1024), packaged_as: keyName.optional() }),
)

export const aliasInfo = wire<AliasInfo>('AliasInfo')(
  z.strictObject({
    alias: z.string(),
    key: z.string(),
    generation: z.int(),
    created_at: time,
    changed_at: time,
  }),
)
export const aliasPage = wire<Page<AliasInfo>>()(page(aliasInfo))
export const putAliasRequest = wire<PutAliasRequest>('PutAliasRequest')(z.strictObject({ key: keyName }))

export const clockInfo = wire<ClockInfo>('ClockInfo')(
  z.strictObject({
    time,
    jump: z.strictObject({ seen_at: time, by_seconds: z.number() }).nullable(),
  }),
)
