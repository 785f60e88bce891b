/** Reads the facts of a database in a file, while a service uses it or not. */

import Database from 'better-sqlite3'

import type { DatabaseFacts } from '../../service/database-facts.ts'
import type { HeadRow } from '../../service/key-store.ts'
import { storageError, storageUnavailable } from './connection.ts'

/** @throws ServiceError `storage_unavailable` when it is no database of a service, or cannot be read. */
export function inspectDatabase(path: string): DatabaseFacts {
  let database: Database.Database | undefined
  try {
    database = new Database(path, { readonly: true, fileMustExist: true, timeout: 5000 })
    const one = (sql: string) => database?.prepare<[], number | null>(sql).pluck().get() ?? undefined
    const slots = database.prepare<[], string>('SELECT kind FROM slots').pluck().all()
    const newestVersionMs = one('SELECT max(created_at) FROM versions')
    const newestBackupMs = one('SELECT max(taken_at) FROM backups WHERE confirmed_at IS NOT NULL')
    const newestMs = one(
      `SELECT max(at) FROM (SELECT max(started_at) AS at FROM audit_heads UNION ALL
       SELECT max(created_at) FROM versions UNION ALL SELECT max(created_at) FROM tokens UNION ALL
       SELECT max(latest) FROM clock)`,
    )
    const jumpByMs = one('SELECT jump_by_ms FROM clock WHERE jump_seen_at IS NOT NULL LIMIT 1')
    const clusterId = database.prepare<[], Buffer>('SELECT cluster_id FROM cluster').pluck().get()
    const head = database
      .prepare<[], HeadRow>(
        'SELECT epoch, row_count AS rowCount, masked_sum AS maskedSum, mac FROM cluster_head WHERE id = 1',
      )
      .get()
    if (clusterId === undefined || head === undefined) throw storageUnavailable('no service in it')
    return { slots, newestMs, jumpByMs, newestVersionMs, newestBackupMs, clusterId, head }
  } catch (error) {
    throw storageError(error)
  } finally {
    database?.close()
  }
}
