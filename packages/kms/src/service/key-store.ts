/**
 * What the service asks of storage. Each write is one whole operation: it names the state it expects, changes
 * everything or nothing, and carries its audit entries into the same transaction. One contract suite
 * (`test/contracts/key-store.ts`) runs on every implementation.
 */

import type { Permission, VersionState } from '@longhold/core/kms'

/** Times are milliseconds since 1970. */
export interface ClusterRow {
  /** 16 bytes, random: bound into everything sealed. */
  readonly clusterId: Uint8Array
  readonly rootVersion: number
  readonly createdAt: number
}

/** The root key as one slot keeps it. */
export interface SlotRow {
  readonly slot: string
  readonly kind: string
  readonly rootVersion: number
  readonly sealedRoot: Uint8Array
  readonly createdAt: number
}

export type OwnKeyPurpose = 'token-pepper' | 'audit-chain'

/** A key of the service itself. */
export interface OwnKeyRow {
  readonly purpose: OwnKeyPurpose
  readonly version: number
  readonly rootVersion: number
  readonly sealed: Uint8Array
  readonly createdAt: number
}

export interface KeyRow {
  readonly key: string
  readonly purpose: 'wrap'
  readonly kemId: number
  readonly generation: number
  readonly latestVersion: number
  readonly rewrapTo: readonly string[]
  readonly createdAt: number
  readonly rotatedAt: number | null
}

export interface VersionRow {
  readonly key: string
  readonly version: number
  readonly state: VersionState
  readonly kemId: number
  readonly publicKey: Uint8Array
  /** 16 bytes. */
  readonly recipientId: Uint8Array
  readonly rootVersion: number
  readonly sealedSeed: Uint8Array
  readonly createdAt: number
  readonly stateChangedAt: number
}

export interface TokenRow {
  /** 24 hexadecimal digits. */
  readonly token: string
  readonly name: string
  /** HMAC of the secret under the pepper of `pepperVersion`. */
  readonly mac: Uint8Array
  readonly pepperVersion: number
  readonly permissions: readonly Permission[]
  readonly keys: readonly string[] | null
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly revokedAt: number | null
  /** The token that made it; null for the first. */
  readonly createdBy: string | null
}

/** One entry of a chain. */
export interface AuditRow {
  /** 32 hexadecimal digits: one chain for each run of the service. */
  readonly run: string
  /** 1, 2, 3, … */
  readonly seq: number
  /** JSON. */
  readonly body: string
  readonly mac: Uint8Array
}

/** The end of a chain, so that a cut tail shows. */
export interface AuditHead {
  readonly run: string
  readonly seq: number
  /** MAC of the last entry. */
  readonly mac: Uint8Array
  /** MAC of this row. */
  readonly headMac: Uint8Array
  readonly chainKeyVersion: number
  readonly startedAt: number
}

/** Entries to append, in order, and the head afterwards. Expects the chain to end before the first of them. */
export interface AuditAppend {
  readonly entries: readonly AuditRow[]
  readonly head: AuditHead
}

/** Not `done`: nothing was written, because the state was not the expected one, or because the audit chain does
 *  not end before the first entry given. */
export type Outcome = 'done' | 'conflict' | 'chain_moved'

export interface KeySummary extends KeyRow {
  readonly primaryVersion: number
}

export interface Initialization {
  readonly cluster: ClusterRow
  readonly slot: SlotRow
  readonly ownKeys: readonly OwnKeyRow[]
  readonly token: TokenRow
  readonly firstKey: NewKey | undefined
}

export interface NewKey {
  readonly key: KeyRow
  readonly version: VersionRow
}

export interface Rotation {
  readonly key: string
  readonly expectedGeneration: number
  readonly expectedPrimary: number
  /** State `primary`, one above the latest. */
  readonly version: VersionRow
}

export interface StateChange {
  readonly key: string
  readonly version: number
  readonly expectedGeneration: number
  readonly from: VersionState
  readonly to: VersionState
  readonly at: number
}

export interface PageRequest<T> {
  /** The last one of the page before. */
  readonly after: T | undefined
  readonly limit: number
}

/**
 * Rows come back as they were written; nothing returned is shared with the store. Every method throws
 * ServiceError `storage_unavailable` when the storage is locked, full or broken: then nothing was written, unless
 * its message says otherwise. Driver errors and their texts stay inside.
 */
export interface KeyStore {
  cluster(): Promise<ClusterRow | undefined>
  slots(): Promise<SlotRow[]>
  ownKeys(): Promise<OwnKeyRow[]>
  key(key: string): Promise<KeySummary | undefined>
  /** In the order of their names' bytes. */
  keys(page: PageRequest<string>): Promise<KeySummary[]>
  version(key: string, version: number): Promise<VersionRow | undefined>
  /** Ascending. */
  versions(key: string, page: PageRequest<number>): Promise<VersionRow[]>
  /** Those that exist, in any order. */
  versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<VersionRow[]>
  /** Of the versions in one of these states, ascending. */
  recipientIds(key: string, states: readonly VersionState[]): Promise<Uint8Array[]>
  token(token: string): Promise<TokenRow | undefined>
  /** In the order of their ids. */
  tokens(page: PageRequest<string>): Promise<TokenRow[]>
  auditHead(run: string): Promise<AuditHead | undefined>
  /** Oldest run first. */
  auditHeads(): Promise<AuditHead[]>
  /** Every run that has an entry, whether or not it has a head. */
  auditRuns(): Promise<string[]>
  /** Ascending. */
  auditEntries(run: string, page: PageRequest<number>): Promise<AuditRow[]>

  /** Expects an empty store. */
  initialize(initialization: Initialization, audit: AuditAppend): Promise<Outcome>
  /** Expects that neither the key's name nor its recipient id was ever used. */
  createKey(created: NewKey, audit: AuditAppend): Promise<Outcome>
  /** Expects generation and primary; the old primary becomes `unwrap_only`. */
  rotate(rotation: Rotation, audit: AuditAppend): Promise<Outcome>
  /** Expects generation and state. */
  changeState(change: StateChange, audit: AuditAppend): Promise<Outcome>
  /** Expects a new id. */
  createToken(token: TokenRow, audit: AuditAppend): Promise<Outcome>
  /** Expects a token that exists and is not revoked. */
  revokeToken(token: string, at: number, audit: AuditAppend): Promise<Outcome>
  /** Entries alone. */
  append(audit: AuditAppend): Promise<Outcome>

  /** Waits for the writes in flight. */
  close(): Promise<void>
}
