/** Opens the database that is configured. */

import { existsSync } from 'node:fs'

import type { Log } from '../http/env.ts'
import { ServiceError } from '../service/errors.ts'
import type { KeyStore } from '../service/key-store.ts'
import { PostgresStore } from '../store/postgres/store.ts'
import { SqliteStore } from '../store/sqlite/store.ts'
import type { ResolvedPaths } from './paths.ts'

/**
 * @param log Told when the database was brought to a newer schema.
 * @throws ServiceError `not_initialised` where there is none, and as the store does.
 */
export async function openDatabase(paths: ResolvedPaths, log?: Log): Promise<KeyStore> {
  if (paths.databaseUrl === undefined && !existsSync(paths.database)) {
    throw notInitialised(`in ${paths.dataDir}`)
  }
  return await makeDatabase(paths, log)
}

/** The same where it may have to be made. Throws as the store does. */
export async function makeDatabase({ database, databaseUrl }: ResolvedPaths, log?: Log): Promise<KeyStore> {
  const onUpgrade = ({ from, to }: { from: number; to: number }): void => {
    const message = `the database was upgraded from schema ${from} to ${to}: older releases refuse it from now on, and the way back is a backup from before`
    log?.({ level: 'info', message })
  }
  if (databaseUrl !== undefined) return await PostgresStore.open({ url: databaseUrl, onUpgrade })
  return SqliteStore.open({ path: database, onUpgrade })
}

export function notInitialised(where: string): ServiceError {
  return new ServiceError('not_initialised', `there is no key service ${where}`, {
    hint: 'initialise it once, or give another data directory',
  })
}
