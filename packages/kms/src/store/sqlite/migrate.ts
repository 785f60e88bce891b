/** Brings a database to this release's schema, and refuses what this release does not know. */

import { fileURLToPath } from 'node:url'

import { sql } from 'drizzle-orm'
import { migrate } from 'drizzle-orm/better-sqlite3/migrator'
import { readMigrationFiles } from 'drizzle-orm/migrator'

import { ServiceError } from '../../service/errors.ts'
import { applicationId, translated } from './connection.ts'
import type { Connection } from './connection.ts'

// The same place seen from src/ and from dist/.
const migrationsFolder = fileURLToPath(new URL('../../../migrations/sqlite', import.meta.url))
const migrationsTable = '__drizzle_migrations'

/** @throws ServiceError `newer_database`, `bad_config` for a database of something else, `storage_unavailable`. */
export function migrateDatabase({ client, db }: Connection, path: string): void {
  translated(() => {
    const id = client.pragma('application_id', { simple: true })
    const [{ tables } = { tables: 0 }] = db.all<{ tables: number }>(
      sql`select count(*) as tables from sqlite_schema where type = 'table'`,
    )
    if (id !== applicationId && tables > 0) {
      throw new ServiceError('bad_config', `${path} is a database of something else`, {
        hint: 'give the data directory of a key service, or a new one',
      })
    }
    if (tables > 0) refuseNewer(db, path)
    // Written once: opening a database changes nothing in it.
    if (id !== applicationId) client.pragma(`application_id = ${applicationId}`)
    migrate(db, { migrationsFolder, migrationsTable })
  })
}

function refuseNewer(db: Connection['db'], path: string): void {
  const known = new Set(readMigrationFiles({ migrationsFolder }).map(({ name }) => name))
  const applied = db.all<{ name: string }>(sql`select name from ${sql.identifier(migrationsTable)}`)
  const unknown = applied.find(({ name }) => !known.has(name))
  if (unknown === undefined) return
  throw new ServiceError('newer_database', `${path} was written by a newer release (${unknown.name})`, {
    hint: 'start that release or a newer one; this one would damage the database',
  })
}
