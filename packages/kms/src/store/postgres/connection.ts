/** Opens PostgreSQL the one way this store uses it, and keeps the driver's errors inside. */

import { drizzle } from 'drizzle-orm/node-postgres'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'

import { ServiceError } from '../../service/errors.ts'

export type Database = NodePgDatabase
export type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0]

/** Another default of the database would make writers fail that only have to wait for each other. */
export const readCommitted = { isolationLevel: 'read committed' } as const

const maxAttempts = 10
/** What ends a transaction only because of another one: serialization_failure, deadlock_detected. */
const passing: ReadonlySet<string> = new Set(['40001', '40P01'])

export interface Connection {
  readonly pool: Pool
  readonly db: Database
}

/**
 * @param url As libpq reads it; a password comes from PGPASSWORD or the password file, for a URL is seen by others.
 * @throws ServiceError `bad_config`.
 */
export function openPool(url: string, maxConnections: number): Connection {
  let hasPassword: boolean
  try {
    hasPassword = new URL(url).password !== ''
  } catch {
    throw new ServiceError('bad_config', 'the address of the database is none', {
      hint: 'as in postgres://longhold@db.example/longhold?sslmode=verify-full',
    })
  }
  if (hasPassword) {
    throw new ServiceError('bad_config', 'the address of the database holds a password', {
      hint: 'give it as PGPASSWORD or in ~/.pgpass: an address is seen in lists of processes and in logs',
    })
  }
  const pool = new Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: 5000,
    statement_timeout: 30_000,
    application_name: 'longhold-kms',
  })
  // A connection that is lost while nobody uses it: the next one to be needed is made anew.
  pool.on('error', () => undefined)
  // And one that is lost in a transaction, while nothing is asked in it: whoever asks next is told. Unheard, it would end
  // the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return { pool, db: drizzle({ client: pool }) }
}

/** Runs something with the database; what the driver throws becomes `storage_unavailable`. */
export async function translated<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw storageError(error)
  }
}

/** The same for a transaction, again where it failed only because of another one. */
export async function retried<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      if (attempt === maxAttempts || !passing.has(postgresCode(error) ?? '')) throw storageError(error)
    }
  }
}

/** Texts of the driver and of drizzle can hold parameters: only the code, or the error's name, is kept. */
function storageError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  const code = postgresCode(error) ?? (error instanceof Error ? error.name : 'unknown')
  return new ServiceError('storage_unavailable', `the database of the key service cannot be used (${code})`, {
    hint: hints.find(([prefix]) => code.startsWith(prefix))?.[1] ?? 'see to the database, then try again',
  })
}

const hints: readonly (readonly [string, string])[] = [
  ['ECONN', 'it does not answer at that address: see whether it runs'],
  ['ENO', 'there is no database at that address'],
  ['28', 'it does not accept this user or password'],
  ['3D', 'there is no database of that name'],
  ['42501', 'this user may not use the schema longhold_kms'],
  ['53100', 'its disk is full: make room, then try again'],
  ['25006', 'it is a standby, and does not write: connect to the primary'],
]

/** Of the driver or the socket, through drizzle's error. */
export function postgresCode(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return undefined
}
