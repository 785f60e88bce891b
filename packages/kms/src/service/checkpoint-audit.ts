/**
 * Holds the audit log against a checkpoint that was kept elsewhere: the log may have grown since, and nothing else. And the
 * versions that were final: what was compromised or destroyed then is so now.
 */

import { toHex } from '@longhold/core'

import { auditHeads } from './audit-heads.ts'
import type { PreviousRun } from './audit-rows.ts'
import type { AuditStarts } from './audit-starts.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { KeyStore, RowReads } from './key-store.ts'

export type AuditReader = RowReads & Pick<KeyStore, 'auditEntries' | 'head'>

/**
 * One line for each chain and each version that is not, or no longer, what the checkpoint saw.
 *
 * @param starts Where the log begins.
 */
export async function faultsAgainst(
  { number, epoch, chains, finalVersions }: Checkpoint,
  log: AuditReader,
  starts: AuditStarts = new Map(),
): Promise<string[]> {
  const heads = new Map((await auditHeads(log)).map((head) => [head.run, head]))
  const faults: string[] = []
  const today = (await log.head())?.epoch ?? 0
  if (today < epoch) {
    faults.push(`the database is at epoch ${today}, checkpoint ${number} saw it at ${epoch}`)
  }
  for (const { run, seq, mac } of chains) {
    const head = heads.get(run)
    if (head === undefined) {
      faults.push(`chain ${run}: the whole chain is missing, checkpoint ${number} has it`)
    } else if (head.seq < seq) {
      faults.push(`chain ${run}: ends at ${head.seq}, checkpoint ${number} saw it end at ${seq}`)
    } else if (seq > 0 && !(await hasEntry(log, starts.get(run), { run, seq, mac }))) {
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

/** Of what was pruned there is only the last entry's MAC, which covers those before it. */
async function hasEntry(
  log: Pick<AuditReader, 'auditEntries'>,
  start: PreviousRun | undefined,
  { run, seq, mac }: PreviousRun,
): Promise<boolean> {
  if (start !== undefined && seq <= start.seq) return seq < start.seq || mac === start.mac
  const [entry] = await log.auditEntries(run, { after: seq - 1, limit: 1 })
  return entry?.seq === seq && toHex(entry.mac) === mac
}
