/** Brings a database to this release's schema, and refuses what this release does not know. */

import { fileURLToPath } from 'node:url'

import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'

import { ServiceError } from '../../service/errors.ts'
import { readCommitted, retried } from './connection.ts'
import type { Database } from './connection.ts'

// The same place seen from src/ and from dist/.
const migrationsFolder = fileURLToPath(new URL('../../../migrations/postgres', import.meta.url))
/** Any number of ours alone, for the lock under which tables are made. */
const migrationLock = 0x4c48_4b4d

/**
 * All of it is one transaction, which the others that start at the same time wait for.
 *
 * @throws ServiceError `newer_database`, `storage_unavailable`.
 */
export async function migrateDatabase(db: Database): Promise<void> {
  const migrations = readMigrationFiles({ migrationsFolder })
  await retried(() =>
    db.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${migrationLock})`)
      const [found] = await tx.execute<{ there: boolean }>(
        sql`select to_regclass('longhold_kms_migrations') is not null as there`,
        'objects',
      )
      if (found?.there !== true) {
        await tx.execute(sql`create table longhold_kms_migrations (name text primary key)`)
      }
      const rows = await tx.execute<{ name: string }>(
        sql`select name from longhold_kms_migrations`,
        'objects',
      )
      const applied = new Set(rows.map(({ name }) => name))
      const known = new Set(migrations.map(({ name }) => name))
      const unknown = [...applied].find((name) => !known.has(name))
      if (unknown !== undefined) {
        throw new ServiceError('newer_database', `the database was written by a newer release (${unknown})`, {
          hint: 'start that release or a newer one; this one would damage the database',
        })
      }
      for (const { name, sql: statements } of migrations) {
        if (applied.has(name)) continue
        for (const statement of statements) await tx.execute(sql.raw(statement))
        await tx.execute(sql`insert into longhold_kms_migrations (name) values (${name})`)
      }
    }, readCommitted),
  )
}
