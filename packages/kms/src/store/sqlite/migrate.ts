/** Brings a database to this release's schema, and refuses what this release does not know. */

import { ServiceError } from '../../service/errors.ts'
import {
  migrationsOf,
  migrationsTable,
  migrationsTableSql,
  pendingMigrations,
  release,
} from '../sql/migrations.ts'
import type { AppliedMigration, Migration, SchemaUpgrade } from '../sql/migrations.ts'
import { applicationId, translated } from './connection.ts'
import type { Connection } from './connection.ts'

/**
 * All of it is one transaction: a database that cannot be upgraded stays what it was.
 *
 * @param path For people.
 * @returns What was changed; undefined: nothing.
 * @throws ServiceError `newer_database`, `bad_config` for a database of something else, `storage_unavailable`.
 */
export function migrateDatabase(
  { client }: Connection,
  path: string,
  known: readonly Migration[] = migrationsOf('sqlite'),
): SchemaUpgrade | undefined {
  return translated(() => {
    const id = client.pragma('application_id', { simple: true })
    const tables = client.prepare(`select name from sqlite_schema where type = 'table'`).pluck().all()
    const isRecorded = tables.includes(migrationsTable)
    if (tables.length > 0 && (id !== applicationId || !isRecorded)) {
      throw new ServiceError('bad_config', `${path} is a database of something else`, {
        hint: 'give the data directory of a key service, or a new one',
      })
    }
    const applied = isRecorded
      ? client.prepare<[], AppliedMigration>(`select * from ${migrationsTable} order by version`).all()
      : []
    const pending = pendingMigrations(known, applied, path)
    const [first] = pending
    // Opening a database changes nothing in it, unless something has to be.
    if (first === undefined) return undefined
    client.transaction(() => {
      client.pragma(`application_id = ${applicationId}`)
      if (!isRecorded) client.exec(migrationsTableSql)
      const record = client.prepare(`insert into ${migrationsTable} values (?, ?, ?)`)
      for (const { version, name, statements } of pending) {
        for (const statement of statements) client.exec(statement)
        record.run(version, name, release())
      }
    })()
    return { from: first.version - 1, to: known.length }
  })
}
