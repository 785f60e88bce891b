/** Reads the audit log from end to end and says what is wrong with it. */

import { equalBytes, toHex } from '@longhold/core'

import { chainStart, entryMac, headMac } from './audit-chain.ts'
import type { Chain } from './audit-chain.ts'
import { auditHeads } from './audit-heads.ts'
import type { PreviousRun } from './audit-rows.ts'
import { macOf } from './audit-starts.ts'
import type { AuditStarts } from './audit-starts.ts'
import type { KeyStore, RowReads } from './key-store.ts'
import type { OwnKeys } from './own-keys.ts'
import type { AuditHeadRow } from './rows.ts'

/** What a check of the audit log found. Counts runs of the service, and entries. */
export interface AuditReport {
  readonly ok: boolean
  /** Of the service: each has a chain of its own. */
  readonly runs: number
  /** In all chains. */
  readonly entries: number
  /** One line each, at most `maxFaults`. */
  readonly faults: readonly string[]
  /** Where the newest chain ends: what nothing in the database vouches for. */
  readonly newest: PreviousRun | undefined
}

/** Of one moment: what is written between two readings would look like a tail that was cut. */
export interface LogToVerify {
  /** Every run that has an entry, whether or not it has a head. */
  readonly runs: readonly string[]
  readonly log: RowReads & AuditEntries
  /** Where the log begins, once entries were pruned. */
  readonly starts: AuditStarts
}

type AuditEntries = Pick<KeyStore, 'auditEntries'>

const maxFaults = 100
/** An entry of a large batch can have a megabyte. */
const pageSize = 100

/**
 * Finds edited, missing, reordered and foreign entries, cut tails and missing chains. What it cannot find is the newest
 * chain taken away whole, or the database put back to an earlier state: keep `newest` elsewhere for that.
 */
export async function verifyAuditLog(
  { runs: written, log, starts }: LogToVerify,
  clusterId: Uint8Array,
  ownKeys: OwnKeys,
): Promise<AuditReport> {
  const faults: string[] = []
  const heads = new Map((await auditHeads(log)).map((head) => [head.run, head]))
  const runs = new Set([...heads.keys(), ...written])
  const named: PreviousRun[] = []
  let entries = 0
  for (const run of runs) {
    const head = heads.get(run)
    if (head === undefined) {
      faults.push(`chain ${run}: its head is missing`)
      continue
    }
    const key = ownKeys.version('audit-chain', head.chainKeyVersion)
    if (key === undefined) {
      faults.push(`chain ${run}: its key, version ${head.chainKeyVersion}, is missing`)
      continue
    }
    const chain = { clusterId, run, ordinal: head.ordinal, startedAt: head.startedAt, key }
    const seen = await verifyChain(log, { chain, head, start: starts.get(run) }, named)
    entries += seen.entries
    faults.push(...seen.faults)
  }
  for (const run of starts.keys())
    if (!heads.has(run)) faults.push(`chain ${run}: the whole chain is missing`)
  for (const { run, seq, mac } of named) {
    const head = heads.get(run)
    // The checkpoint that covers it names it, at the same end or a later one.
    if (seq <= (starts.get(run)?.seq ?? 0)) continue
    if (head === undefined) faults.push(`chain ${run}: the whole chain is missing`)
    else if (head.seq < seq)
      faults.push(`chain ${run}: ends at ${head.seq}, where the next chain saw it end at ${seq}`)
    // Another node may have gone on with it since.
    else if ((await macAt(log, run, seq)) !== mac)
      faults.push(`chain ${run}: entry ${seq} is not the one at which the next chain saw it end`)
  }
  // Each chain but the newest is named by the one after it, or another may have been made to look like the newest.
  const newest = [...heads.values()].at(-1)
  const isNamed = new Set([...named.map(({ run }) => run), ...starts.keys()])
  for (const run of heads.keys()) {
    if (run !== newest?.run && !isNamed.has(run)) faults.push(`chain ${run}: no later chain names it`)
  }
  if (runs.size === 0) faults.push('there is no audit log')
  return {
    ok: faults.length === 0,
    runs: runs.size,
    entries,
    faults: faults.slice(0, maxFaults),
    newest: newest && { run: newest.run, seq: newest.seq, mac: toHex(newest.lastMac) },
  }
}

async function macAt(log: AuditEntries, run: string, seq: number): Promise<string | undefined> {
  const [entry] = await log.auditEntries(run, { after: seq - 1, limit: 1 })
  return entry?.seq === seq ? toHex(entry.mac) : undefined
}

interface ChainToVerify {
  readonly chain: Chain
  readonly head: AuditHeadRow
  readonly start: PreviousRun | undefined
}

async function verifyChain(
  log: AuditEntries,
  { chain, head, start }: ChainToVerify,
  named: PreviousRun[],
): Promise<{ entries: number; faults: string[] }> {
  const { run } = chain
  const faults: string[] = []
  if (!equalBytes(headMac(chain, head.seq, head.lastMac), head.headMac))
    faults.push(`chain ${run}: altered head`)
  let mac = start === undefined ? chainStart : macOf(start)
  let after = start?.seq
  let entries = 0
  for (;;) {
    const page = await log.auditEntries(run, { after, limit: pageSize })
    for (const entry of page) {
      const expected = (after ?? 0) + 1
      if (entry.seq !== expected) faults.push(`chain ${run}: entry ${expected} is missing`)
      if (!equalBytes(entryMac(chain, entry.seq, mac, entry.body), entry.mac)) {
        faults.push(
          `chain ${run}: entry ${entry.seq} was altered, or follows another than it was written after`,
        )
      } else if (entry.seq === 1) named.push(...previousRuns(entry.body))
      // Going on from the stored MAC reports one altered entry once.
      mac = entry.mac
      after = entry.seq
      entries += 1
    }
    if (page.length < pageSize) break
  }
  if (after !== head.seq) faults.push(`chain ${run}: ends at ${after ?? 0}, its head says ${head.seq}`)
  else if (!equalBytes(mac, head.lastMac))
    faults.push(`chain ${run}: its last entry is not the one its head names`)
  return { entries, faults }
}

/** Called for bodies whose MAC is right only: what this service wrote. */
function previousRuns(body: string): PreviousRun[] {
  const { previous } = JSON.parse(body) as { previous?: PreviousRun[] }
  return previous ?? []
}
