/** The log as people read it: in order, filtered, a page at a time. Whether it is whole is for `verifyAuditLog` to say. */

import { toHex } from '@longhold/core'

import { auditHeads } from './audit-heads.ts'
import type { AuditStarts } from './audit-starts.ts'
import type { KeyStore, RowReads } from './key-store.ts'

export interface AuditFilter {
  readonly action?: string | undefined
  /** The id of a token. */
  readonly principal?: string | undefined
  /** The entry itself, or an item of it, is about this key. */
  readonly key?: string | undefined
  /** Milliseconds since 1970, inclusive. */
  readonly since?: number | undefined
  /** Exclusive. */
  readonly until?: number | undefined
}

/** Where an entry stands: the chain by its order, and its number there. */
export interface AuditPosition {
  readonly ordinal: number
  readonly seq: number
}

export interface FoundEntry extends AuditPosition {
  readonly run: string
  /** JSON, exactly as its MAC covers it. */
  readonly body: string
  /** Hexadecimal. */
  readonly mac: string
}

export interface AuditPage {
  readonly entries: readonly FoundEntry[]
  /** Where to go on; undefined: the end of the log was reached. */
  readonly next: AuditPosition | undefined
}

/** So many entries are looked at for one page, however few of them are asked for. */
const maxScanned = 10_000
const batch = 200

export interface AuditSource {
  readonly reads: RowReads
  readonly store: Pick<KeyStore, 'auditEntries'>
  /** What was pruned is not shown, even while it is there. */
  readonly starts: AuditStarts
}

/** Entries after a position, oldest first. */
export async function findEntries(
  { reads, store, starts }: AuditSource,
  filter: AuditFilter,
  { after, limit }: { readonly after: AuditPosition | undefined; readonly limit: number },
): Promise<AuditPage> {
  const entries: FoundEntry[] = []
  let scanned = 0
  for (const { run, ordinal } of await auditHeads(reads)) {
    if (after !== undefined && ordinal < after.ordinal) continue
    let seq = Math.max(after?.ordinal === ordinal ? after.seq : 0, starts.get(run)?.seq ?? 0)
    for (;;) {
      const page = await store.auditEntries(run, { after: seq === 0 ? undefined : seq, limit: batch })
      for (const entry of page) {
        seq = entry.seq
        scanned += 1
        if (matches(filter, entry.body)) {
          entries.push({ run, ordinal, seq, body: entry.body, mac: toHex(entry.mac) })
        }
        if (entries.length === limit || scanned === maxScanned) return { entries, next: { ordinal, seq } }
      }
      if (page.length < batch) break
    }
  }
  return { entries, next: undefined }
}

interface Body {
  readonly at: string
  readonly action: string
  readonly principal?: string
  readonly key?: string
  readonly items?: readonly { readonly key?: string }[]
}

function matches({ action, principal, key, since, until }: AuditFilter, text: string): boolean {
  // What stands nowhere in the text need not be parsed for.
  if ([action, principal, key].some((wanted) => wanted !== undefined && !text.includes(wanted))) return false
  let body: Body
  try {
    // Of the form that `encodeEvent` gave it; where somebody altered it, the verification says so.
    body = JSON.parse(text) as Body
  } catch {
    return false
  }
  const at = Date.parse(body.at)
  return (
    (action === undefined || body.action === action) &&
    (principal === undefined || body.principal === principal) &&
    (key === undefined || body.key === key || body.items?.some((item) => item.key === key) === true) &&
    (since === undefined || at >= since) &&
    (until === undefined || at < until)
  )
}
