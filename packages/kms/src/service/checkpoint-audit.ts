/**
 * Holds the audit log against a checkpoint that was kept elsewhere: the log may have grown since, and nothing else. And the
 * versions that were final: what was compromised or destroyed then is so now.
 */

import { toHex } from '@longhold/core'

import { auditHeads } from './audit-heads.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { KeyStore, RowReads } from './key-store.ts'

export type AuditReader = RowReads & Pick<KeyStore, 'auditEntries' | 'head'>

/** One line for each chain and each version that is not, or no longer, what the checkpoint saw. */
export async function faultsAgainst(
  { number, epoch, chains, finalVersions }: Checkpoint,
  log: AuditReader,
): Promise<string[]> {
  const heads = new Map((await auditHeads(log)).map((head) => [head.run, head]))
  const faults: string[] = []
  const head = await log.head()
  if ((head?.epoch ?? 0) < epoch) {
    faults.push(`the database is at epoch ${head?.epoch ?? 0}, checkpoint ${number} saw it at ${epoch}`)
  }
  for (const { run, seq, mac } of chains) {
    const head = heads.get(run)
    if (head === undefined) {
      faults.push(`chain ${run}: the whole chain is missing, checkpoint ${number} has it`)
    } else if (head.seq < seq) {
      faults.push(`chain ${run}: ends at ${head.seq}, checkpoint ${number} saw it end at ${seq}`)
    } else if (seq > 0 && (await macAt(log, run, seq)) !== mac) {
      faults.push(`chain ${run}: entry ${seq} is not the one that checkpoint ${number} saw`)
    }
  }
  for (const { key, version, state } of finalVersions) {
    const row = await log.row('versions', { key, version })
    const isSo = state === 'destroyed' ? row?.state === 'destroyed' : row?.compromisedAt != null
    if (isSo) continue
    faults.push(
      `version ${version} of ${key}: ${row?.state ?? 'missing'}, checkpoint ${number} saw it ${state}`,
    )
  }
  return faults
}

async function macAt(log: AuditReader, run: string, seq: number): Promise<string | undefined> {
  const [entry] = await log.auditEntries(run, { after: seq - 1, limit: 1 })
  return entry?.seq === seq ? toHex(entry.mac) : undefined
}
