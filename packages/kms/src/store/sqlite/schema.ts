/**
 * The tables in SQLite, made from what `service/rows.ts` says of their columns: a table to come is a line here.
 * `pnpm run migrations` turns a change into a migration.
 */

import { sql } from 'drizzle-orm'
import type { SQLiteColumnBuilder, SQLiteTable } from 'drizzle-orm/sqlite-core'
import { blob, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core'

import type { TableName } from '../../service/rows.ts'
import { columnNamed, columnsFor, keyOf, uniqueIndexesOf } from '../sql/columns.ts'
import type { ColumnBuilders } from '../sql/columns.ts'

const bytes = (name: string) => blob(name, { mode: 'buffer' })

const builders: ColumnBuilders<SQLiteColumnBuilder> = {
  text: (name) => text(name),
  number: (name) => integer(name),
  boolean: (name) => integer(name, { mode: 'boolean' }),
  bytes,
  json: (name) => text(name, { mode: 'json' }),
}

/** One row. */
export const clusterHead = sqliteTable('cluster_head', {
  /** Always 1. */
  id: integer().primaryKey(),
  epoch: integer().notNull(),
  rowCount: integer('row_count').notNull(),
  maskedSum: bytes('masked_sum').notNull(),
  mac: bytes('mac').notNull(),
})

export const auditEntries = sqliteTable(
  'audit_entries',
  {
    run: text().notNull(),
    seq: integer().notNull(),
    body: text().notNull(),
    mac: bytes('mac').notNull(),
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
} satisfies Record<TableName, SQLiteTable>

function rowTable(name: TableName) {
  return sqliteTable(name, columnsFor<SQLiteColumnBuilder>(name, builders), (columns) => [
    primaryKey({ columns: keyOf(name, columns) }),
    ...uniqueIndexesOf(name).map(({ name: index, on, where }) => {
      const unique = uniqueIndex(index).on(columnNamed(columns, on))
      return where === undefined ? unique : unique.where(sql.raw(where))
    }),
  ])
}
