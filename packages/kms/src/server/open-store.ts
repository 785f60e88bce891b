/** Opens the database that is configured. */

import { existsSync } from 'node:fs'

import { ServiceError } from '../service/errors.ts'
import type { KeyStore } from '../service/key-store.ts'
import { SqliteStore } from '../store/sqlite/store.ts'
import type { ResolvedPaths } from './paths.ts'

/** @throws ServiceError `not_initialised` where there is none, and as the store does. */
export async function openDatabase({ dataDir, database }: ResolvedPaths): Promise<KeyStore> {
  if (!existsSync(database)) throw notInitialised(`in ${dataDir}`)
  return SqliteStore.open({ path: database })
}

export function notInitialised(where: string): ServiceError {
  return new ServiceError('not_initialised', `there is no key service ${where}`, {
    hint: 'initialise it once, or give another data directory',
  })
}
