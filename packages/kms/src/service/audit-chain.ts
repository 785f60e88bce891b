/**
 * The chain of one run: each entry's HMAC covers the one before, so that an edit, a gap or another order shows. The
 * head has a MAC of its own: whoever cuts the tail cannot make the head that would fit.
 */

import { framed } from './framing.ts'
import { hmacSha256 } from './hmac.ts'
import type { AuditRow } from './key-store.ts'
import type { OwnKey } from './own-keys.ts'
import type { AuditHeadRow } from './rows.ts'

/** What comes before the first entry. */
export const chainStart = new Uint8Array(32)

export interface Chain {
  readonly clusterId: Uint8Array
  readonly run: string
  /** The order in which the runs began. */
  readonly ordinal: number
  readonly startedAt: number
  readonly key: OwnKey
}

/** Entries to append, in order, and the head before and after them. */
export interface AuditAppend {
  readonly entries: readonly AuditRow[]
  /** Undefined: the chain begins. */
  readonly before: AuditHeadRow | undefined
  readonly head: AuditHeadRow
}

/** The next entries after `before` and the head they lead to. */
export function extend(
  chain: Chain,
  before: AuditHeadRow | undefined,
  bodies: readonly string[],
): AuditAppend {
  let mac = before?.lastMac ?? chainStart
  let seq = before?.seq ?? 0
  const entries: AuditRow[] = []
  for (const body of bodies) {
    seq += 1
    mac = entryMac(chain, seq, mac, body)
    entries.push({ run: chain.run, seq, body, mac })
  }
  return { entries, before, head: headOf(chain, seq, mac) }
}

export function entryMac(chain: Chain, seq: number, previous: Uint8Array, body: string): Uint8Array {
  return hmac(
    chain.key,
    framed('longhold/kms/v1/audit-entry', chain.clusterId, chain.run, seq, previous, body),
  )
}

export function headMac(chain: Chain, seq: number, mac: Uint8Array): Uint8Array {
  return hmac(
    chain.key,
    framed('longhold/kms/v1/audit-head', chain.clusterId, chain.run, seq, mac, chain.startedAt),
  )
}

function headOf(chain: Chain, seq: number, lastMac: Uint8Array): AuditHeadRow {
  const { run, ordinal, startedAt, key } = chain
  const mac = headMac(chain, seq, lastMac)
  return { run, ordinal, seq, lastMac, headMac: mac, chainKeyVersion: key.version, startedAt }
}

function hmac({ secret }: OwnKey, message: Uint8Array): Uint8Array {
  return hmacSha256(secret, message)
}
