/**
 * One service for each database. The lock is a transaction that SQLite holds open on a file of its own: the
 * operating system lets go of it when the process ends, however it ends.
 */

import Database from 'better-sqlite3'

import { ServiceError } from '../../service/errors.ts'
import { createPrivateFile, storageError } from './connection.ts'

/** @throws ServiceError `database_in_use`, `storage_unavailable`. */
export function lockDatabase(path: string): { release(): void } {
  let lock: Database.Database | undefined
  try {
    lock = new Database(createPrivateFile(`${path}.lock`), { timeout: 0 })
    lock.exec('BEGIN EXCLUSIVE')
    const held = lock
    return { release: () => held.close() }
  } catch (error) {
    lock?.close()
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new ServiceError('database_in_use', `another key service is using ${path}`, {
        hint: 'stop it first, or give this one a data directory of its own',
      })
    }
    throw storageError(error)
  }
}
