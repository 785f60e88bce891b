/** Fills an empty database in one transaction, on a connection of its own. */

import { getTableColumns, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { PgTable } from 'drizzle-orm/pg-core'
import type { Pool } from 'pg'

import { notEmpty, twice } from '../../service/filling-errors.ts'
import type { Filling } from '../../service/key-store.ts'
import { tableNames } from '../../service/rows.ts'
import { postgresCode, translated } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'

const uniqueViolation = '23505'
/** A statement has 65,535 parameters at the most. */
const rowsAtOnce = 200

/** @throws ServiceError `already_initialised`, `storage_unavailable`. */
export async function beginFilling(pool: Pool): Promise<Filling> {
  const client = await translated(() => pool.connect())
  const db = drizzle({ client })
  const insert = async (name: string, table: PgTable, rows: readonly object[]): Promise<void> => {
    const columns = Object.keys(getTableColumns(table))
    const values = rows.map((row) => {
      const fields = row as Readonly<Record<string, unknown>>
      return Object.fromEntries(columns.map((column) => [column, fields[column]]))
    })
    await translated(async () => {
      try {
        for (let at = 0; at < values.length; at += rowsAtOnce) {
          await db.insert(table).values(values.slice(at, at + rowsAtOnce))
        }
      } catch (error) {
        throw postgresCode(error) === uniqueViolation ? twice(name) : error
      }
    })
  }
  try {
    await translated(async () => {
      await db.execute(sql`begin transaction isolation level read committed`)
      // Whoever sets a service up there at the same time waits, and finds it.
      await db.execute(sql`lock table ${clusterHead} in exclusive mode`)
      const all = [
        ...tableNames.map((name) => [name, rowTables[name]] as const),
        ['audit entries', auditEntries] as const,
        ['', clusterHead] as const,
      ]
      for (const [name, table] of all) {
        const rows = await db.execute(sql`select 1 as there from ${table} limit 1`, 'objects')
        if (rows.length > 0) throw notEmpty(name)
      }
    })
  } catch (error) {
    client.release(true)
    throw error
  }
  return {
    rows: (table, rows) => insert(table, rowTables[table], rows),
    entries: (entries) => insert('audit entries', auditEntries, entries),
    async finish(head) {
      await insert('', clusterHead, [{ id: 1, ...head }])
      await translated(async () => db.execute(sql`commit`))
    },
    // Nobody gets the connection again: with it ends what was not committed.
    close: async () => client.release(true),
  }
}
