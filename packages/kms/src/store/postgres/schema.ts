/**
 * The tables in PostgreSQL, in a schema of their own, made from what `service/rows.ts` says of their columns: a table
 * to come is a line here. `DATABASE=postgres pnpm run migrations` turns a change into a migration.
 */

import { sql } from 'drizzle-orm'
import { bigint, boolean, customType, json, pgSchema, primaryKey, uniqueIndex } from 'drizzle-orm/pg-core'
import type { AnyPgColumnBuilder, ExtraConfigColumn, PgTable } from 'drizzle-orm/pg-core'

import { keyColumnsOf, tables } from '../../service/rows.ts'
import type { ColumnKind, TableName } from '../../service/rows.ts'

export const longholdKms = pgSchema('longhold_kms')

const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  codec: 'bytea',
})
/** Compared by its bytes, whatever the database's language is. */
const text = customType<{ data: string; driverData: string }>({ dataType: () => 'text collate "C"' })

const builders: Readonly<Record<ColumnKind, (name: string) => AnyPgColumnBuilder>> = {
  text: (name) => text(name),
  number: (name) => bigint(name, { mode: 'number' }),
  boolean: (name) => boolean(name),
  bytes: (name) => bytea(name),
  // Not jsonb, which would write the members anew.
  json: (name) => json(name),
}

/** One row. */
export const clusterHead = longholdKms.table('cluster_head', {
  /** Always 1. */
  id: bigint({ mode: 'number' }).primaryKey(),
  epoch: bigint({ mode: 'number' }).notNull(),
  rowCount: bigint('row_count', { mode: 'number' }).notNull(),
  maskedSum: bytea('masked_sum').notNull(),
  mac: bytea('mac').notNull(),
})

export const auditEntries = longholdKms.table(
  'audit_entries',
  {
    run: text('run').notNull(),
    seq: bigint({ mode: 'number' }).notNull(),
    body: text('body').notNull(),
    mac: bytea('mac').notNull(),
  },
  (table) => [primaryKey({ columns: [table.run, table.seq] })],
)

export const cluster = rowTable('cluster')
export const slots = rowTable('slots')
export const ownKeys = rowTable('own_keys')
export const keys = rowTable('keys')
export const versions = longholdKms.table('versions', columnsFor('versions'), (table) => [
  ...keyOf('versions', table),
  uniqueIndex('versions_recipient_id').on(column(table, 'recipientId')),
  // The database too knows that a key has one primary.
  uniqueIndex('versions_one_primary')
    .on(column(table, 'key'))
    .where(sql`state = 'primary'`),
])
export const schedules = rowTable('schedules')
export const destructions = rowTable('destructions')
export const aliases = rowTable('aliases')
export const usage = rowTable('usage')
export const census = rowTable('census')
export const issuedDataKeys = rowTable('issued_data_keys')
export const clock = rowTable('clock')
export const tokens = rowTable('tokens')
export const principals = rowTable('principals')
export const grants = rowTable('grants')
export const checkpoints = rowTable('checkpoints')
export const auditHeads = longholdKms.table('audit_heads', columnsFor('audit_heads'), (table) => [
  ...keyOf('audit_heads', table),
  uniqueIndex('audit_heads_ordinal').on(column(table, 'ordinal')),
])

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
} satisfies Record<TableName, PgTable>

function rowTable(name: TableName) {
  return longholdKms.table(name, columnsFor(name), (table) => keyOf(name, table))
}

/** What may be null is said by the type of the row, and held by its MAC. */
function columnsFor(table: TableName): Record<string, AnyPgColumnBuilder> {
  // The columns of the key are not null by being that.
  const content = Object.entries(tables[table].columns).map(([name, kind]) => [
    name,
    builders[kind](snake(name)),
  ])
  return {
    ...(Object.fromEntries(content) as Record<string, AnyPgColumnBuilder>),
    generation: bigint({ mode: 'number' }).notNull(),
    mac: bytea('mac').notNull(),
  }
}

function keyOf(name: TableName, table: Readonly<Record<string, ExtraConfigColumn>>) {
  const [first, ...others] = keyColumnsOf(name).map((key) => column(table, key))
  return first === undefined ? [] : [primaryKey({ columns: [first, ...others] })]
}

function column(table: Readonly<Record<string, ExtraConfigColumn>>, name: string): ExtraConfigColumn {
  const found = table[name]
  if (found === undefined) throw new TypeError(`no such column: ${name}`)
  return found
}

function snake(name: string): string {
  return name.replace(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`)
}
