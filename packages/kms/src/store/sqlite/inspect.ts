/** What a database says of itself to whoever may read the file, while a service uses it or not. Opens no secret. */

import Database from 'better-sqlite3'

import { storageError } from './connection.ts'

/** Facts that nobody vouches for: the MACs of the rows are for the service to check. */
export interface DatabaseFacts {
  /** The kinds of slots. */
  readonly slots: readonly string[]
  /** The newest time that it knows of. */
  readonly newestMs: number | undefined
  /** When the newest version of a key was made. */
  readonly newestVersionMs: number | undefined
  /** Of the newest backup; undefined: there is none on record. */
  readonly newestBackupMs: number | undefined
  /** Whether the newest head is kept outside the database. */
  readonly hasAnchor: boolean
}

/** @throws ServiceError `storage_unavailable` when it is no database of a service, or cannot be read. */
export function inspectDatabase(path: string): DatabaseFacts {
  let database: Database.Database | undefined
  try {
    database = new Database(path, { readonly: true, fileMustExist: true, timeout: 5000 })
    const one = (sql: string) => database?.prepare<[], number | null>(sql).pluck().get() ?? undefined
    const slots = database.prepare<[], string>('SELECT kind FROM slots').pluck().all()
    const newestVersionMs = one('SELECT max(created_at) FROM versions')
    const newestMs = one(
      `SELECT max(at) FROM (SELECT max(started_at) AS at FROM audit_heads UNION ALL
       SELECT max(created_at) FROM versions UNION ALL SELECT max(created_at) FROM tokens)`,
    )
    return { slots, newestMs, newestVersionMs, newestBackupMs: undefined, hasAnchor: false }
  } catch (error) {
    throw storageError(error)
  } finally {
    database?.close()
  }
}
