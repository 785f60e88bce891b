/** Opens the database that is configured. */

import { existsSync } from 'node:fs'

import { ServiceError } from '../service/errors.ts'
import type { KeyStore } from '../service/key-store.ts'
import { PostgresStore } from '../store/postgres/store.ts'
import { SqliteStore } from '../store/sqlite/store.ts'
import type { ResolvedPaths } from './paths.ts'

/** @throws ServiceError `not_initialised` where there is none, and as the store does. */
export async function openDatabase(paths: ResolvedPaths): Promise<KeyStore> {
  if (paths.databaseUrl === undefined && !existsSync(paths.database)) {
    throw notInitialised(`in ${paths.dataDir}`)
  }
  return await makeDatabase(paths)
}

/** The same where it may have to be made. Throws as the store does. */
export async function makeDatabase({ database, databaseUrl }: ResolvedPaths): Promise<KeyStore> {
  if (databaseUrl !== undefined) return await PostgresStore.open({ url: databaseUrl })
  return SqliteStore.open({ path: database })
}

export function notInitialised(where: string): ServiceError {
  return new ServiceError('not_initialised', `there is no key service ${where}`, {
    hint: 'initialise it once, or give another data directory',
  })
}
