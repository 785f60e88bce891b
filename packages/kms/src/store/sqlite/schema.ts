/** The tables in SQLite. `pnpm run migrations` turns a change here into a migration. */

import type { Permission, VersionState } from '@longhold/core/kms'
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

const bytes = (name: string) => blob(name, { mode: 'buffer' }).notNull()
const time = (name: string) => integer(name)
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
  createdAt: time('created_at').notNull(),
  ...mark(),
})

export const slots = sqliteTable('slots', {
  slot: text().primaryKey(),
  kind: text().notNull(),
  rootVersion: integer('root_version').notNull(),
  sealedRoot: bytes('sealed_root'),
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
  purpose: text().$type<'wrap'>().notNull(),
  kemId: integer('kem_id').notNull(),
  latestVersion: integer('latest_version').notNull(),
  primaryVersion: integer('primary_version').notNull(),
  rewrapTo: text('rewrap_to', { mode: 'json' }).$type<string[]>().notNull(),
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

export const tokens = sqliteTable('tokens', {
  token: text().primaryKey(),
  name: text().notNull(),
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
  tokens,
  audit_heads: auditHeads,
} satisfies Record<TableName, SQLiteTable>
