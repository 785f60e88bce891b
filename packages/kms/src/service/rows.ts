/**
 * What the key service keeps: the rows of its tables, and nothing but facts about them. To add a table:
 *
 * 1. its row type here, its name in `Rows`, its columns and its key in `tables`;
 * 2. its Drizzle table under the same names, with `...mark()`, in each `store/<database>/schema.ts` and in the list of
 *    tables at the end of that file, then `pnpm run migrations` for each database (`NAME=what-changed`);
 * 3. nothing else. `reads.row('things', { thing })` and `reads.rows('things', page)` read it,
 *    `audit.commit(event, [insert('things', row), update('things', stored, { … }), remove('things', stored)])` changes
 *    it, and MACs, the cluster head, its verification and the contract suite cover it.
 *
 * A column's value is text, a safe integer, a boolean, bytes, JSON (lists and objects of such, no bytes) or null;
 * never undefined. Times are milliseconds since 1970.
 */

import type { Permission, VersionState } from '@longhold/core/kms'

/** What every row carries beside its content. */
export interface RowMark {
  /** 1 when it was made, one more with every change. */
  readonly generation: number
  /** 32 bytes over table, id, generation and content (`row-mac.ts`). */
  readonly mac: Uint8Array
}

/** A row as a store has it. */
export type Stored<R> = R & RowMark

/** There is one. */
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

export type OwnKeyPurpose = 'token-pepper' | 'row-mac' | 'audit-chain'

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
  readonly latestVersion: number
  readonly primaryVersion: number
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
  readonly secretMac: Uint8Array
  readonly pepperVersion: number
  readonly permissions: readonly Permission[]
  readonly keys: readonly string[] | null
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly revokedAt: number | null
  /** The token that made it; null for the first. */
  readonly createdBy: string | null
}

/** The end of a chain of the audit log, so that a cut tail shows. Its generation is `seq`. */
export interface AuditHeadRow {
  /** 32 hexadecimal digits: one chain for each run of the service. */
  readonly run: string
  /** The order in which the runs began. */
  readonly ordinal: number
  readonly seq: number
  /** MAC of the last entry. */
  readonly lastMac: Uint8Array
  /** MAC of this row under the key of the chain. */
  readonly headMac: Uint8Array
  readonly chainKeyVersion: number
  readonly startedAt: number
}

/** By table. */
export interface Rows {
  cluster: ClusterRow
  slots: SlotRow
  own_keys: OwnKeyRow
  keys: KeyRow
  versions: VersionRow
  tokens: TokenRow
  audit_heads: AuditHeadRow
}

export type TableName = keyof Rows

/** Names of the columns that name a row; texts in them hold no `/`. */
interface KeyColumns {
  cluster: 'clusterId'
  slots: 'slot'
  own_keys: 'purpose' | 'version'
  keys: 'key'
  versions: 'key' | 'version'
  tokens: 'token'
  audit_heads: 'run'
}

/** What names a row. */
export type KeyOf<T extends TableName> = Pick<Rows[T], KeyColumns[T] & keyof Rows[T]>

export type ColumnKind = 'text' | 'number' | 'boolean' | 'bytes' | 'json'

interface Table<T extends TableName> {
  /** In the order of pages. */
  readonly key: readonly (KeyColumns[T] & keyof Rows[T])[]
  readonly columns: Readonly<Record<keyof Rows[T], ColumnKind>>
}

export const tables: { readonly [T in TableName]: Table<T> } = {
  cluster: {
    key: ['clusterId'],
    columns: { clusterId: 'bytes', rootVersion: 'number', createdAt: 'number' },
  },
  slots: {
    key: ['slot'],
    columns: {
      slot: 'text',
      kind: 'text',
      rootVersion: 'number',
      sealedRoot: 'bytes',
      createdAt: 'number',
    },
  },
  own_keys: {
    key: ['purpose', 'version'],
    columns: {
      purpose: 'text',
      version: 'number',
      rootVersion: 'number',
      sealed: 'bytes',
      createdAt: 'number',
    },
  },
  keys: {
    key: ['key'],
    columns: {
      key: 'text',
      purpose: 'text',
      kemId: 'number',
      latestVersion: 'number',
      primaryVersion: 'number',
      rewrapTo: 'json',
      createdAt: 'number',
      rotatedAt: 'number',
    },
  },
  versions: {
    key: ['key', 'version'],
    columns: {
      key: 'text',
      version: 'number',
      state: 'text',
      kemId: 'number',
      publicKey: 'bytes',
      recipientId: 'bytes',
      rootVersion: 'number',
      sealedSeed: 'bytes',
      createdAt: 'number',
      stateChangedAt: 'number',
    },
  },
  tokens: {
    key: ['token'],
    columns: {
      token: 'text',
      name: 'text',
      secretMac: 'bytes',
      pepperVersion: 'number',
      permissions: 'json',
      keys: 'json',
      createdAt: 'number',
      expiresAt: 'number',
      revokedAt: 'number',
      createdBy: 'text',
    },
  },
  audit_heads: {
    key: ['run'],
    columns: {
      run: 'text',
      ordinal: 'number',
      seq: 'number',
      lastMac: 'bytes',
      headMac: 'bytes',
      chainKeyVersion: 'number',
      startedAt: 'number',
    },
  },
}

// The keys of the table are exactly the names.
export const tableNames = Object.keys(tables) as TableName[]

/** The columns of a table in the order of their names. */
export function columnsOf(table: TableName): string[] {
  return Object.keys(tables[table].columns).toSorted()
}

/** The columns of a table that name a row. */
export function keyColumnsOf(table: TableName): readonly string[] {
  return tables[table].key
}
