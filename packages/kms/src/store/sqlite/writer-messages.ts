/** What the store and its writer's thread say to each other. */

import type { AuditRow, Commit, Outcome } from '../../service/key-store.ts'

export interface WriterOptions {
  readonly path: string
  readonly busyTimeoutMs: number
}

/** Entries of the log to be deleted: the oldest `limit` of a chain, up to a number. */
export interface Forgetting {
  readonly run: string
  readonly through: number
  readonly limit: number
}

/**
 * A commit with the MACs of its entries in one piece: each array of bytes that crosses threads costs as much as the text of
 * its entry.
 */
export interface PackedCommit {
  readonly commit: Commit
  readonly bodies: readonly string[]
  /** 32 bytes for each. */
  readonly macs: Uint8Array
}

const macBytes = 32

export function pack(commit: Commit): PackedCommit {
  const { entries } = commit.audit
  const macs = new Uint8Array(macBytes * entries.length)
  for (const [index, { mac }] of entries.entries()) macs.set(mac, macBytes * index)
  const audit = { ...commit.audit, entries: [] }
  return { commit: { ...commit, audit }, bodies: entries.map(({ body }) => body), macs }
}

/** The entries are those that come before the new end of their chain. */
export function unpack({ commit, bodies, macs }: PackedCommit): Commit {
  const { run, seq } = commit.audit.head
  const first = seq - bodies.length + 1
  const entries = bodies.map((body, index): AuditRow => {
    return { run, seq: first + index, body, mac: macs.subarray(macBytes * index, macBytes * (index + 1)) }
  })
  return { ...commit, audit: { ...commit.audit, entries } }
}

export type WriteRequest =
  | { readonly id: number; readonly packed: PackedCommit }
  | { readonly id: number; readonly forget: Forgetting }

export interface WriteReply {
  readonly id: number
  /** Of a commit; how many entries were deleted. */
  readonly outcome?: Outcome | number
  /** A ServiceError in parts: classes do not cross threads. */
  readonly failure?: { readonly message: string; readonly hint: string | undefined }
}
