/** The tables in SQLite. `pnpm run migrations` turns a change here into a migration. */

import type { KeyPurpose, Permission, VersionState } from '@longhold/core/kms'
import { sql } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import {
  blob,
  foreignKey,
  integer,
  primaryKey,
  sqliteTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/sqlite-core'

import type { OwnKeyPurpose, TableName } from '../../service/rows.ts'
import type { ContextRule, Labels, Rule } from '../../service/rule.ts'
import type { SlotKind } from '../../service/slot-opener.ts'

const bytes = (name: string) => blob(name, { mode: 'buffer' }).notNull()
const time = (name: string) => integer(name)
const flag = (name: string) => integer(name, { mode: 'boolean' }).notNull()
/** What every row carries (`RowMark`). */
const mark = () => ({ generation: integer().notNull(), mac: bytes('mac') })

/** One row. */
export const clusterHead = sqliteTable('cluster_head', {
  /** Always 1. */
  id: integer().primaryKey(),
  epoch: integer().notNull(),
  rowCount: integer('row_count').notNull(),
  maskedSum: bytes('masked_sum'),
  mac: bytes('mac'),
})

export const cluster = sqliteTable('cluster', {
  clusterId: bytes('cluster_id').primaryKey(),
  rootVersion: integer('root_version').notNull(),
  nextRootVersion: integer('next_root_version'),
  minSlots: integer('min_slots').notNull(),
  createdAt: time('created_at').notNull(),
  ...mark(),
})

export const slots = sqliteTable('slots', {
  slot: text().primaryKey(),
  kind: text().$type<SlotKind>().notNull(),
  label: text().notNull(),
  kemId: integer('kem_id').notNull(),
  publicKey: bytes('public_key'),
  sealedSecret: bytes('sealed_secret'),
  authRootVersion: integer('auth_root_version').notNull(),
  sealedAuth: bytes('sealed_auth'),
  rootVersion: integer('root_version').notNull(),
  sealedRoot: bytes('sealed_root'),
  nextRoot: blob('next_root', { mode: 'buffer' }),
  createdAt: time('created_at').notNull(),
  ...mark(),
})

export const ownKeys = sqliteTable(
  'own_keys',
  {
    purpose: text().$type<OwnKeyPurpose>().notNull(),
    version: integer().notNull(),
    rootVersion: integer('root_version').notNull(),
    sealed: bytes('sealed'),
    createdAt: time('created_at').notNull(),
    ...mark(),
  },
  (table) => [primaryKey({ columns: [table.purpose, table.version] })],
)

export const keys = sqliteTable('keys', {
  key: text().primaryKey(),
  purpose: text().$type<KeyPurpose>().notNull(),
  kemId: integer('kem_id').notNull(),
  enabled: flag('enabled'),
  latestVersion: integer('latest_version').notNull(),
  primaryVersion: integer('primary_version').notNull(),
  minUnwrapVersion: integer('min_unwrap_version').notNull(),
  rewrapTo: text('rewrap_to', { mode: 'json' }).$type<string[]>().notNull(),
  labels: text({ mode: 'json' }).$type<Record<string, string>>().notNull(),
  destroyAfterMs: integer('destroy_after_ms').notNull(),
  exportable: flag('exportable'),
  exportedAt: time('exported_at'),
  imported: flag('imported'),
  issuedOnly: flag('issued_only'),
  createdAt: time('created_at').notNull(),
  rotatedAt: time('rotated_at'),
  ...mark(),
})

export const versions = sqliteTable(
  'versions',
  {
    key: text().notNull(),
    version: integer().notNull(),
    state: text().$type<VersionState>().notNull(),
    kemId: integer('kem_id').notNull(),
    publicKey: bytes('public_key'),
    recipientId: bytes('recipient_id'),
    rootVersion: integer('root_version').notNull(),
    sealedSeed: bytes('sealed_seed'),
    createdAt: time('created_at').notNull(),
    stateChangedAt: time('state_changed_at').notNull(),
    compromisedAt: time('compromised_at'),
    destroyAt: time('destroy_at'),
    ...mark(),
  },
  (table) => [
    primaryKey({ columns: [table.key, table.version] }),
    foreignKey({ columns: [table.key], foreignColumns: [keys.key] }),
    uniqueIndex('versions_recipient_id').on(table.recipientId),
    // The database too knows that a key has one primary.
    uniqueIndex('versions_one_primary')
      .on(table.key)
      .where(sql`${table.state} = 'primary'`),
  ],
)

export const schedules = sqliteTable('schedules', {
  key: text().primaryKey(),
  everyMs: integer('every_ms').notNull(),
  nextAt: time('next_at').notNull(),
  ...mark(),
})

export const destructions = sqliteTable(
  'destructions',
  {
    key: text().notNull(),
    version: integer().notNull(),
    destroyAt: time('destroy_at').notNull(),
    ...mark(),
  },
  (table) => [primaryKey({ columns: [table.key, table.version] })],
)

export const aliases = sqliteTable('aliases', {
  alias: text().primaryKey(),
  key: text().notNull(),
  createdAt: time('created_at').notNull(),
  changedAt: time('changed_at').notNull(),
  ...mark(),
})

export const usage = sqliteTable(
  'usage',
  {
    key: text().notNull(),
    version: integer().notNull(),
    total: integer().notNull(),
    lastUsedAt: time('last_used_at').notNull(),
    days: text({ mode: 'json' }).$type<[number, number][]>().notNull(),
    ...mark(),
  },
  (table) => [primaryKey({ columns: [table.key, table.version] })],
)

export const census = sqliteTable(
  'census',
  {
    key: text().notNull(),
    consumer: text().notNull(),
    counts: text({ mode: 'json' }).$type<[number, number][]>(),
    takenAt: time('taken_at'),
    ...mark(),
  },
  (table) => [primaryKey({ columns: [table.key, table.consumer] })],
)

export const issuedDataKeys = sqliteTable(
  'issued_data_keys',
  {
    key: text().notNull(),
    keyId: text('key_id').notNull(),
    version: integer().notNull(),
    issuedAt: time('issued_at').notNull(),
    ...mark(),
  },
  (table) => [primaryKey({ columns: [table.key, table.keyId] })],
)

/** One row. */
export const clock = sqliteTable('clock', {
  clock: text().primaryKey(),
  latest: time('latest').notNull(),
  shown: time('shown').notNull(),
  jumpSeenAt: time('jump_seen_at'),
  jumpByMs: integer('jump_by_ms'),
  ...mark(),
})

export const tokens = sqliteTable('tokens', {
  token: text().primaryKey(),
  name: text().notNull(),
  principal: text(),
  secretMac: bytes('secret_mac'),
  pepperVersion: integer('pepper_version').notNull(),
  permissions: text({ mode: 'json' }).$type<Permission[]>().notNull(),
  keys: text({ mode: 'json' }).$type<string[]>(),
  createdAt: time('created_at').notNull(),
  expiresAt: time('expires_at'),
  revokedAt: time('revoked_at'),
  createdBy: text('created_by'),
  ...mark(),
})

export const principals = sqliteTable('principals', {
  principal: text().primaryKey(),
  description: text().notNull(),
  disabledAt: time('disabled_at'),
  createdAt: time('created_at').notNull(),
  createdBy: text('created_by').notNull(),
  ...mark(),
})

export const grants = sqliteTable(
  'grants',
  {
    principal: text().notNull(),
    grant: text().notNull(),
    effect: text().$type<Rule['effect']>().notNull(),
    permissions: text({ mode: 'json' }).$type<Permission[]>().notNull(),
    keys: text({ mode: 'json' }).$type<string[]>(),
    labels: text({ mode: 'json' }).$type<Labels>(),
    context: text({ mode: 'json' }).$type<ContextRule>(),
    notBefore: time('not_before'),
    notAfter: time('not_after'),
    networks: text({ mode: 'json' }).$type<string[]>(),
    usesLeft: integer('uses_left'),
    createdAt: time('created_at').notNull(),
    createdBy: text('created_by').notNull(),
    ...mark(),
  },
  (table) => [primaryKey({ columns: [table.principal, table.grant] })],
)

export const checkpoints = sqliteTable('checkpoints', {
  checkpoint: integer().primaryKey(),
  line: text().notNull(),
  createdAt: time('created_at').notNull(),
  ...mark(),
})

export const auditEntries = sqliteTable(
  'audit_entries',
  {
    run: text().notNull(),
    seq: integer().notNull(),
    body: text().notNull(),
    mac: bytes('mac'),
  },
  (table) => [primaryKey({ columns: [table.run, table.seq] })],
)

export const auditHeads = sqliteTable(
  'audit_heads',
  {
    run: text().primaryKey(),
    /** The order in which the runs began. */
    ordinal: integer().notNull(),
    seq: integer().notNull(),
    lastMac: bytes('last_mac'),
    headMac: bytes('head_mac'),
    chainKeyVersion: integer('chain_key_version').notNull(),
    startedAt: time('started_at').notNull(),
    ...mark(),
  },
  (table) => [uniqueIndex('audit_heads_ordinal').on(table.ordinal)],
)

/** Each table of `service/rows.ts`, under its name there. */
export const rowTables = {
  cluster,
  slots,
  own_keys: ownKeys,
  keys,
  versions,
  schedules,
  destructions,
  aliases,
  usage,
  census,
  issued_data_keys: issuedDataKeys,
  clock,
  tokens,
  principals,
  grants,
  checkpoints,
  audit_heads: auditHeads,
} satisfies Record<TableName, SQLiteTable>
