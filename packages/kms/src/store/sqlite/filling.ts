/** Fills an empty database in one transaction, on a connection of its own. */

import { sql } from 'drizzle-orm'

import { notEmpty, twice } from '../../service/filling-errors.ts'
import type { Filling } from '../../service/key-store.ts'
import { tableNames } from '../../service/rows.ts'
import { openConnection, translated } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'
import { prepareWrites } from './writes.ts'

/** @throws ServiceError `already_initialised`, `storage_unavailable`. */
export function beginFilling(path: string, busyTimeoutMs: number): Filling {
  const connection = openConnection(path, { readonly: false, busyTimeoutMs })
  const { client, db } = connection
  try {
    return translated(() => {
      client.prepare('BEGIN IMMEDIATE').run()
      const all = [
        ...tableNames.map((name) => [name, rowTables[name]] as const),
        ['audit entries', auditEntries] as const,
        ['', clusterHead] as const,
      ]
      for (const [name, table] of all) {
        const [one] = db.all<{ there: number }>(sql`select 1 as there from ${table} limit 1`)
        if (one !== undefined) throw notEmpty(name)
      }
      const writes = prepareWrites(connection)
      return {
        rows: async (table, rows) =>
          translated(() => {
            for (const row of rows) {
              if (writes.tables.get(table)?.insert.run({ ...row }).changes !== 1) throw twice(table)
            }
          }),
        entries: async (entries) =>
          translated(() => {
            for (const entry of entries) writes.insertEntry.run({ ...entry })
          }),
        finish: async (head) =>
          translated(() => {
            writes.insertHead.run({ ...head })
            client.prepare('COMMIT').run()
          }),
        // SQLite takes back what is not committed.
        close: async () => void client.close(),
      }
    })
  } catch (error) {
    client.close()
    throw error
  }
}
