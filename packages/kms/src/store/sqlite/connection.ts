/** Opens SQLite the one way this store uses it, and keeps the driver's errors inside. */

import { closeSync, openSync, realpathSync } from 'node:fs'

import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'

import { ServiceError } from '../../service/errors.ts'

/** Says whose file this is ("LHKM"), so that another program's database is never taken for ours. */
export const applicationId = 0x4c484b4d

export interface Connection {
  readonly client: Database.Database
  readonly db: BetterSQLite3Database
}

/**
 * @param busyTimeoutMs How long to wait for a lock that somebody else holds.
 * @throws ServiceError `storage_unavailable`.
 */
export function openConnection(
  path: string,
  options: { readonly: boolean; busyTimeoutMs: number },
): Connection {
  return translated(() => {
    const client = new Database(path, { readonly: options.readonly, timeout: options.busyTimeoutMs })
    try {
      if (!options.readonly) {
        // Durable before the answer: the log is worth nothing if a power cut can take it back.
        client.pragma('journal_mode = WAL')
        client.pragma('synchronous = FULL')
        client.pragma('secure_delete = ON')
      }
      return { client, db: drizzle({ client }) }
    } catch (error) {
      client.close()
      throw error
    }
  })
}

/**
 * Makes a file for its owner only, unless it is there; SQLite gives its side files the same mode.
 *
 * @returns Its path without symbolic links, so that one database has one lock.
 * @throws ServiceError `storage_unavailable`.
 */
export function createPrivateFile(path: string): string {
  try {
    closeSync(openSync(path, 'a', 0o600))
    return realpathSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw storageUnavailable(`${code} on ${path}`)
  }
}

/** Runs something with the database; what the driver throws becomes `storage_unavailable`. */
export function translated<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw storageError(error)
  }
}

/** Texts of the driver and of drizzle can hold parameters: only SQLite's own code, or the error's name, is kept. */
export function storageError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  return storageUnavailable(sqliteCode(error) ?? (error instanceof Error ? error.name : 'unknown'))
}

export function storageUnavailable(code: string): ServiceError {
  return new ServiceError('storage_unavailable', `the database of the key service cannot be used (${code})`, {
    hint: hints.find(([prefix]) => code.startsWith(prefix))?.[1] ?? 'see to its disk, then try again',
  })
}

const hints: readonly (readonly [string, string])[] = [
  ['SQLITE_BUSY', 'another program holds a lock on it; end that program, then try again'],
  ['SQLITE_LOCKED', 'another program holds a lock on it; end that program, then try again'],
  ['SQLITE_FULL', 'its disk is full: make room, then try again'],
  ['SQLITE_READONLY', 'the file or its directory cannot be written by this user'],
  ['SQLITE_CANTOPEN', 'the file or its directory cannot be opened by this user'],
  ['SQLITE_CORRUPT', 'the file is damaged: keep it and restore a backup'],
  ['SQLITE_NOTADB', 'this is not a database'],
]

/** Through drizzle's error to the driver's. */
export function sqliteCode(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof Database.SqliteError) return at.code
  }
  return undefined
}
