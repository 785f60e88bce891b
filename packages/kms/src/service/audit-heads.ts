/** The ends of all chains of the audit log. */

import { everyRow } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import type { AuditHeadRow } from './rows.ts'

/** Oldest run first. */
export async function auditHeads(reads: RowReads): Promise<AuditHeadRow[]> {
  return (await everyRow(reads, 'audit_heads')).toSorted((a, b) => a.ordinal - b.ordinal)
}
