/** Checks the whole audit log and holds it against checkpoints, as it is at one moment: a service may write to it meanwhile. */

import { startsIn } from './audit-starts.ts'
import { verifyAuditLog } from './audit-verify.ts'
import type { AuditReport } from './audit-verify.ts'
import { faultsAgainst } from './checkpoint-audit.ts'
import { readCheckpoint } from './checkpoint.ts'
import type { KeyStore } from './key-store.ts'
import type { OwnKeys } from './own-keys.ts'
import { RowMacs } from './row-mac.ts'
import type { Signer } from './signing.ts'

export interface AuditCheck {
  readonly store: Pick<KeyStore, 'auditRuns' | 'snapshot'>
  readonly ownKeys: OwnKeys
  readonly signer: Signer
}

/**
 * @param lines Of `signCheckpoint`.
 * @throws ServiceError `malformed_request` for a checkpoint of somebody else, `storage_unavailable`.
 */
export async function checkAuditLog(
  { store, ownKeys, signer }: AuditCheck,
  lines: readonly string[],
): Promise<AuditReport> {
  const checkpoints = lines.map((line) => readCheckpoint(signer, line))
  const macs = new RowMacs(signer.clusterId, ownKeys.newest('row-mac').secret)
  // Before the snapshot: a run that has an entry now has a head in it.
  const runs = await store.auditRuns()
  const log = await store.snapshot()
  try {
    const { starts, faults: ofStarts } = await startsIn(log, macs, signer)
    const report = await verifyAuditLog({ runs, log, starts }, signer.clusterId, ownKeys)
    const faults = [...ofStarts, ...report.faults]
    for (const checkpoint of checkpoints) faults.push(...(await faultsAgainst(checkpoint, log, starts)))
    return { ...report, ok: faults.length === 0, faults }
  } finally {
    await log.close()
    macs.close()
  }
}
