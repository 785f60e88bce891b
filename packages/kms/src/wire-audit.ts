/** The schemas of what is asked and answered about the audit log; see `wire.ts`. */

import { z } from '@hono/zod-openapi'
import type { AuditEntry, AuditVerdict, CheckpointInfo, Page, VerifyAuditRequest } from '@longhold/core/kms'

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
