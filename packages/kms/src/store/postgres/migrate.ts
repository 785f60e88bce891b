/** Brings a database to this release's schema, and refuses what this release does not know. */

import { sql } from 'drizzle-orm'

import {
  migrationsOf,
  migrationsTable,
  migrationsTableSql,
  pendingMigrations,
  release,
} from '../sql/migrations.ts'
import type { AppliedMigration, Migration, SchemaUpgrade } from '../sql/migrations.ts'
import { readCommitted, retried } from './connection.ts'
import type { Database, Transaction } from './connection.ts'

/** Any number of ours alone, for the lock under which tables are made. */
const migrationLock = 0x4c48_4b4d

/**
 * All of it is one transaction, which the others that start at the same time wait for.
 *
 * @returns What was changed; undefined: nothing.
 * @throws ServiceError `newer_database`, `storage_unavailable`.
 */
export async function migrateDatabase(
  db: Database,
  known: readonly Migration[] = migrationsOf('postgres'),
): Promise<SchemaUpgrade | undefined> {
  return await retried(() =>
    db.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${migrationLock})`)
      const pending = pendingMigrations(known, await appliedIn(tx), 'the database')
      const [first] = pending
      if (first === undefined) return undefined
      for (const { version, name, statements } of pending) {
        for (const statement of statements) await tx.execute(sql.raw(statement))
        await tx.execute(
          sql`insert into ${sql.identifier(migrationsTable)} values (${version}, ${name}, ${release()})`,
        )
      }
      return { from: first.version - 1, to: known.length }
    }, readCommitted),
  )
}

async function appliedIn(tx: Transaction): Promise<AppliedMigration[]> {
  const [found] = await tx.execute<{ there: boolean }>(
    sql`select to_regclass(${migrationsTable}) is not null as there`,
    'objects',
  )
  if (found?.there !== true) await tx.execute(sql.raw(migrationsTableSql))
  return await tx.execute<{ version: number; name: string; release: string }>(
    sql`select version, name, release from ${sql.identifier(migrationsTable)} order by version`,
    'objects',
  )
}
