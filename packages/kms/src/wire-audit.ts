/** The schemas of what is asked and answered about the audit log; see `wire.ts`. */

import { z } from '@hono/zod-openapi'
import type {
  AuditEntry,
  AuditVerdict,
  CheckpointInfo,
  Page,
  PruneAuditRequest,
  PruningInfo,
  VerifyAuditRequest,
} from '@longhold/core/kms'

import { keyName, page, pageQuery, time, tokenId, wire } from './wire.ts'

const maxCheckpoints = 100
const maxCheckpointLine = 1024 * 1024

export const auditQuery = pageQuery.extend({
  action: z
    .string()
    .regex(/^[a-z.-]{1,64}$/u, 'an action is named as in the log, say key.rotate')
    .optional(),
  principal: tokenId.optional(),
  key: keyName.optional(),
  since: time.optional(),
  until: time.optional(),
})
export const auditEntry = wire<AuditEntry>('AuditEntry')(
  z.strictObject({ run: z.string(), seq: z.int(), body: z.string(), mac: z.string() }),
)
export const auditPage = wire<Page<AuditEntry>>('AuditPage')(page(auditEntry))

export const checkpointInfo = wire<CheckpointInfo>('CheckpointInfo')(
  z.strictObject({ number: z.int(), created_at: time, line: z.string() }),
)
export const checkpointPage = wire<Page<CheckpointInfo>>('CheckpointPage')(page(checkpointInfo))

export const verifyAuditRequest = wire<VerifyAuditRequest>('VerifyAuditRequest')(
  z.strictObject({ checkpoints: z.array(z.string().max(maxCheckpointLine)).max(maxCheckpoints).optional() }),
)
export const auditVerdict = wire<AuditVerdict>('AuditVerdict')(
  z.strictObject({ ok: z.boolean(), runs: z.int(), entries: z.int(), faults: z.array(z.string()) }),
)

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/u, 'a SHA-256 has 64 hexadecimal digits')
  .openapi({ example: '0123456789abcdef'.repeat(4) })

export const pruneAuditRequest = wire<PruneAuditRequest>('PruneAuditRequest')(
  z.strictObject({ checkpoint: z.string().max(maxCheckpointLine), export_sha256: sha256 }),
)
export const pruningInfo = wire<PruningInfo>('PruningInfo')(
  z.strictObject({
    number: z.int(),
    checkpoint: z.int(),
    entries: z.int(),
    export_sha256: sha256,
    pruned_at: time,
    pruned_by: tokenId,
  }),
)
export const pruningPage = wire<Page<PruningInfo>>('PruningPage')(page(pruningInfo))
