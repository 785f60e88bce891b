/**
 * What the key service keeps: the rows of its tables, and nothing but facts about them. To add a table:
 *
 * 1. its row type here, its name in `Rows`, its columns and its key in `tables`;
 * 2. two lines in `store/sqlite/schema.ts` and the same in `store/postgres/schema.ts`, one of them in the list at the
 *    end, then `NAME=what-changed pnpm run migrations` and the same with `DATABASE=postgres`, and
 *    `node test/support/schema-fixture.ts`, which keeps a database of the new schema for upgrades to come;
 * 3. nothing else. `reads.row('things', { thing })` and `reads.rows('things', page)` read it,
 *    `audit.commit(event, [insert('things', row), update('things', stored, { … }), remove('things', stored)])` changes
 *    it, and MACs, the cluster head, its verification and the contract suite cover it.
 *
 * A column's value is text, a safe integer, a boolean, bytes, JSON (lists and objects of such, no bytes) or null;
 * never undefined. Times are milliseconds since 1970.
 */

import type { GrantRow, IdempotencyRow, PrincipalRow, TokenRow } from './access-rows.ts'
import type { AuditHeadRow, CheckpointRow, PruningRow } from './audit-rows.ts'
import type { BackupRow } from './backup-rows.ts'
import type {
  AliasRow,
  CensusRow,
  ClockRow,
  DestructionRow,
  IssuedDataKeyRow,
  KeyRow,
  ScheduleRow,
  UsageRow,
  VersionRow,
} from './key-rows.ts'
import type { SlotKind } from './slot-opener.ts'

// One place to import rows from, whichever file they are in.
export type { GrantRow, IdempotencyRow, PrincipalRow, TokenRow } from './access-rows.ts'
export type { AuditHeadRow, CheckpointRow, PruningRow } from './audit-rows.ts'
export type { BackupRow } from './backup-rows.ts'
export type {
  AliasRow,
  CensusRow,
  ClockRow,
  DestructionRow,
  IssuedDataKeyRow,
  KeyRow,
  ScheduleRow,
  UsageRow,
  VersionRow,
} from './key-rows.ts'

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
  /** While the root key is replaced: its version to come. */
  readonly nextRootVersion: number | null
  /** How many slots there must be before the first key, and from then on. */
  readonly minSlots: number
  readonly createdAt: number
  /** When it was last restored from a backup: what was used and counted just before is not known. */
  readonly restoredAt: number | null
}

/** The root key as one slot keeps it (`slot-secret.ts`). */
export interface SlotRow {
  /** 16 hexadecimal digits. */
  readonly slot: string
  readonly kind: SlotKind
  readonly label: string
  readonly kemId: number
  /** Of the slot's identity: what roots are wrapped for. */
  readonly publicKey: Uint8Array
  /** By the slot's opener. */
  readonly sealedSecret: Uint8Array
  /** Which root seals `sealedAuth`. */
  readonly authRootVersion: number
  readonly sealedAuth: Uint8Array
  readonly rootVersion: number
  readonly sealedRoot: Uint8Array
  /** While the root key is replaced: the one to come. */
  readonly nextRoot: Uint8Array | null
  readonly createdAt: number
}

export type OwnKeyPurpose = 'token-pepper' | 'row-mac' | 'audit-chain' | 'signing' | 'cursor'

/** A key of the service itself. */
export interface OwnKeyRow {
  readonly purpose: OwnKeyPurpose
  readonly version: number
  readonly rootVersion: number
  readonly sealed: Uint8Array
  readonly createdAt: number
}

/** By table. */
export interface Rows {
  cluster: ClusterRow
  slots: SlotRow
  own_keys: OwnKeyRow
  keys: KeyRow
  versions: VersionRow
  schedules: ScheduleRow
  destructions: DestructionRow
  aliases: AliasRow
  usage: UsageRow
  census: CensusRow
  issued_data_keys: IssuedDataKeyRow
  clock: ClockRow
  tokens: TokenRow
  principals: PrincipalRow
  grants: GrantRow
  idempotency: IdempotencyRow
  checkpoints: CheckpointRow
  backups: BackupRow
  prunings: PruningRow
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
  schedules: 'key'
  destructions: 'key' | 'version'
  aliases: 'alias'
  usage: 'key' | 'version'
  census: 'key' | 'consumer'
  issued_data_keys: 'key' | 'keyId'
  clock: 'clock'
  tokens: 'token'
  principals: 'principal'
  grants: 'principal' | 'grant'
  idempotency: 'owner' | 'use'
  checkpoints: 'checkpoint'
  backups: 'backup'
  prunings: 'pruning'
  audit_heads: 'run'
}

/** What names a row. */
export type KeyOf<T extends TableName> = Pick<Rows[T], KeyColumns[T] & keyof Rows[T]>

export type ColumnKind = 'text' | 'number' | 'boolean' | 'bytes' | 'json'
/** With `?` where the value may be null. */
export type ColumnFact = ColumnKind | `${ColumnKind}?`

interface Table<T extends TableName> {
  /** In the order of pages. */
  readonly key: readonly (KeyColumns[T] & keyof Rows[T])[]
  readonly columns: {
    readonly [C in keyof Rows[T]]: null extends Rows[T][C] ? `${ColumnKind}?` : ColumnKind
  }
}

export const tables: { readonly [T in TableName]: Table<T> } = {
  cluster: {
    key: ['clusterId'],
    columns: {
      clusterId: 'bytes',
      rootVersion: 'number',
      nextRootVersion: 'number?',
      minSlots: 'number',
      createdAt: 'number',
      restoredAt: 'number?',
    },
  },
  slots: {
    key: ['slot'],
    columns: {
      slot: 'text',
      kind: 'text',
      label: 'text',
      kemId: 'number',
      publicKey: 'bytes',
      sealedSecret: 'bytes',
      authRootVersion: 'number',
      sealedAuth: 'bytes',
      rootVersion: 'number',
      sealedRoot: 'bytes',
      nextRoot: 'bytes?',
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
      enabled: 'boolean',
      latestVersion: 'number',
      primaryVersion: 'number',
      minUnwrapVersion: 'number',
      rewrapTo: 'json',
      labels: 'json',
      destroyAfterMs: 'number',
      exportable: 'boolean',
      exportedAt: 'number?',
      imported: 'boolean',
      issuedOnly: 'boolean',
      createdAt: 'number',
      rotatedAt: 'number?',
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
      compromisedAt: 'number?',
      destroyAt: 'number?',
    },
  },
  schedules: { key: ['key'], columns: { key: 'text', everyMs: 'number', nextAt: 'number' } },
  destructions: {
    key: ['key', 'version'],
    columns: { key: 'text', version: 'number', destroyAt: 'number' },
  },
  aliases: {
    key: ['alias'],
    columns: { alias: 'text', key: 'text', createdAt: 'number', changedAt: 'number' },
  },
  usage: {
    key: ['key', 'version'],
    columns: { key: 'text', version: 'number', total: 'number', lastUsedAt: 'number', days: 'json' },
  },
  census: {
    key: ['key', 'consumer'],
    columns: {
      key: 'text',
      consumer: 'text',
      counts: 'json?',
      takenAt: 'number?',
      principal: 'text?',
      token: 'text',
    },
  },
  issued_data_keys: {
    key: ['key', 'keyId'],
    columns: { key: 'text', keyId: 'text', version: 'number', issuedAt: 'number' },
  },
  clock: {
    key: ['clock'],
    columns: { clock: 'text', latest: 'number', shown: 'number', jumpSeenAt: 'number?', jumpByMs: 'number?' },
  },
  tokens: {
    key: ['token'],
    columns: {
      token: 'text',
      name: 'text',
      principal: 'text?',
      secretMac: 'bytes',
      pepperVersion: 'number',
      permissions: 'json',
      keys: 'json?',
      createdAt: 'number',
      expiresAt: 'number?',
      revokedAt: 'number?',
      createdBy: 'text?',
    },
  },
  principals: {
    key: ['principal'],
    columns: {
      principal: 'text',
      description: 'text',
      disabledAt: 'number?',
      createdAt: 'number',
      createdBy: 'text',
    },
  },
  grants: {
    key: ['principal', 'grant'],
    columns: {
      principal: 'text',
      grant: 'text',
      effect: 'text',
      permissions: 'json',
      keys: 'json?',
      labels: 'json?',
      context: 'json?',
      notBefore: 'number?',
      notAfter: 'number?',
      networks: 'json?',
      usesLeft: 'number?',
      createdAt: 'number',
      createdBy: 'text',
    },
  },
  idempotency: {
    key: ['owner', 'use'],
    columns: {
      owner: 'text',
      use: 'text',
      request: 'bytes',
      isKept: 'boolean',
      answer: 'json?',
      doneAt: 'number',
      expiresAt: 'number',
    },
  },
  checkpoints: {
    key: ['checkpoint'],
    columns: { checkpoint: 'number', line: 'text', createdAt: 'number' },
  },
  backups: {
    key: ['backup'],
    columns: {
      backup: 'text',
      takenAt: 'number',
      expiresAt: 'number',
      recipientIds: 'json',
      fileName: 'text?',
      epoch: 'number?',
      byteLength: 'number?',
      sha256: 'bytes?',
      confirmedAt: 'number?',
    },
  },
  prunings: {
    key: ['pruning'],
    columns: {
      pruning: 'number',
      checkpoint: 'number',
      line: 'text',
      entries: 'number',
      exportSha256: 'text',
      prunedAt: 'number',
      prunedBy: 'text',
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

/** What a column holds, and whether it may be null. */
export function columnFact(fact: ColumnFact): { readonly kind: ColumnKind; readonly isNullable: boolean } {
  const isNullable = fact.endsWith('?')
  // A fact is a kind, with the mark or without.
  return { kind: (isNullable ? fact.slice(0, -1) : fact) as ColumnKind, isNullable }
}

/** The columns of a table in the order of their names. */
export function columnsOf(table: TableName): string[] {
  return Object.keys(tables[table].columns).toSorted()
}

/** The columns of a table that name a row. */
export function keyColumnsOf(table: TableName): readonly string[] {
  return tables[table].key
}
