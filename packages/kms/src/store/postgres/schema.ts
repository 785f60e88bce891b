/**
 * The tables in PostgreSQL, in a schema of their own, made from what `service/rows.ts` says of their columns: a table
 * to come is a line here. `DATABASE=postgres pnpm run migrations` turns a change into a migration.
 */

import { sql } from 'drizzle-orm'
import { bigint, boolean, customType, json, pgSchema, primaryKey, uniqueIndex } from 'drizzle-orm/pg-core'
import type { AnyPgColumnBuilder, PgTable } from 'drizzle-orm/pg-core'

import type { TableName } from '../../service/rows.ts'
import { columnNamed, columnsFor, keyOf, uniqueIndexesOf } from '../sql/columns.ts'
import type { ColumnBuilders } from '../sql/columns.ts'

export const longholdKms = pgSchema('longhold_kms')

const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  codec: 'bytea',
})
/** Compared by its bytes, whatever the database's language is. */
const text = customType<{ data: string; driverData: string }>({ dataType: () => 'text collate "C"' })

const builders: ColumnBuilders<AnyPgColumnBuilder> = {
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
export const versions = rowTable('versions')
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
export const idempotency = rowTable('idempotency')
export const checkpoints = rowTable('checkpoints')
export const backups = rowTable('backups')
export const prunings = rowTable('prunings')
export const auditHeads = rowTable('audit_heads')

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
  idempotency,
  checkpoints,
  backups,
  prunings,
  audit_heads: auditHeads,
} satisfies Record<TableName, PgTable>

function rowTable(name: TableName) {
  return longholdKms.table(name, columnsFor(name, builders), (columns) => [
    primaryKey({ columns: keyOf(name, columns) }),
    ...uniqueIndexesOf(name).map(({ name: index, on, where }) => {
      const unique = uniqueIndex(index).on(columnNamed(columns, on))
      return where === undefined ? unique : unique.where(sql.raw(where))
    }),
  ])
}
