/** Where each chain of the audit log begins, once entries were pruned: at the heads of the checkpoint that covered them. */

import { fromHex } from '@longhold/core'

import type { PreviousRun } from './audit-rows.ts'
import { readCheckpoint } from './checkpoint.ts'
import { integrityViolation, ServiceError } from './errors.ts'
import { allRows } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import type { RowMacs } from './row-mac.ts'
import type { PruningRow, Stored } from './rows.ts'
import type { Signer } from './signing.ts'
import { checkRow } from './verified-rows.ts'

/** By run: the last entry that is not there any more. A chain that is not named begins at 1. */
export type AuditStarts = ReadonlyMap<string, PreviousRun>

/** Each pruning goes further than those before it: the newest says it all. */
export async function newestPruning(reads: RowReads): Promise<Stored<PruningRow> | undefined> {
  let newest: Stored<PruningRow> | undefined
  for await (const rows of allRows(reads, 'prunings')) newest = rows.at(-1)
  return newest
}

/**
 * @param pruning The newest, of a row that was checked.
 * @throws ServiceError `integrity_violation` when its checkpoint is not one of this service.
 */
export function startsAfter(
  signer: Pick<Signer, 'clusterId' | 'publicKey'>,
  pruning: PruningRow | undefined,
): AuditStarts {
  if (pruning === undefined) return new Map()
  try {
    const { number, chains } = readCheckpoint(signer, pruning.line)
    if (number !== pruning.checkpoint) throw integrityViolation('another checkpoint')
    return new Map(chains.map((chain) => [chain.run, chain]))
  } catch {
    throw integrityViolation(`the checkpoint of pruning ${pruning.pruning} of the audit log`)
  }
}

/** The MAC of an entry, as bytes. */
export function macOf({ mac }: PreviousRun): Uint8Array {
  return fromHex(mac) ?? new Uint8Array(0)
}

/**
 * The same of a store whose rows nobody has checked.
 *
 * @returns A line for people too, where it says what this service did not write: then the log begins at its beginning.
 */
export async function startsIn(
  reads: RowReads,
  macs: RowMacs,
  signer: Pick<Signer, 'clusterId' | 'publicKey'>,
): Promise<{ readonly starts: AuditStarts; readonly faults: readonly string[] }> {
  try {
    const pruning = await newestPruning(reads)
    if (pruning !== undefined) checkRow(macs, 'prunings', pruning)
    return { starts: startsAfter(signer, pruning), faults: [] }
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'integrity_violation') throw error
    return { starts: new Map(), faults: [error.message] }
  }
}
