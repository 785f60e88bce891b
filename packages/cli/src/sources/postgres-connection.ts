/** A PostgreSQL database as a run uses it, with its errors as ours: what happened and what to do, never a parameter. */

import { Pool } from 'pg'
import type { ClientBase } from 'pg'

import { Problem } from './problem.ts'
import type { ProblemKind } from './problem.ts'

export interface PostgresPlace {
  /** As libpq reads it, without a password. */
  readonly url: string
  /** How long to wait for other transactions' locks. */
  readonly busyTimeoutMs: number
}

/** For people and reports: no user, no parameters. */
export function shownPlace(url: string): string {
  const { host, pathname } = new URL(url)
  return `postgres://${host}${pathname}`
}

/** @throws Problem `wrong` for an address that is none, or that holds a password. */
export function checkPostgresUrl(url: string): void {
  let password: string
  try {
    password = new URL(url).password
  } catch {
    throw new Problem('wrong', 'the address of the database is none', {
      hint: 'as in postgres://app@db.example/app?sslmode=verify-full',
    })
  }
  if (password === '') return
  throw new Problem('wrong', 'the address of the database holds a password', {
    hint: 'give it as PGPASSWORD or in ~/.pgpass: an address is seen in lists of processes',
  })
}

/**
 * Two connections: a run holds one for its lock and does its work on the other.
 *
 * @throws Problem `wrong` as `checkPostgresUrl`.
 */
export function openPool({ url }: PostgresPlace): Pool {
  checkPostgresUrl(url)
  const pool = new Pool({
    connectionString: url,
    max: 3,
    connectionTimeoutMillis: 10_000,
    application_name: 'longhold reencrypt',
  })
  // A connection that is lost while nobody uses it: the next one to be needed is made anew.
  pool.on('error', () => undefined)
  // And one that is lost in a transaction: whoever asks next is told. Unheard, it would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

const maxAttempts = 10
/** What ends a transaction only because of another one: serialization_failure, deadlock_detected. */
const passing: ReadonlySet<string> = new Set(['40001', '40P01'])

/**
 * Runs one transaction, again where it failed only because of another one. What it says is durable when it ends.
 *
 * @throws Problem
 */
export async function transaction<T>(
  pool: Pool,
  { busyTimeoutMs }: PostgresPlace,
  step: (client: ClientBase) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(pool, busyTimeoutMs, step)
    } catch (error) {
      if (attempt === maxAttempts || !passing.has(postgresCode(error) ?? '')) throw translate(error)
    }
  }
}

async function once<T>(pool: Pool, lockMs: number, step: (client: ClientBase) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    // Set for this transaction alone: behind a pooler a session is not ours. 0 would mean to wait for ever.
    await client.query(
      `BEGIN ISOLATION LEVEL READ COMMITTED;
       SET LOCAL lock_timeout = ${Math.max(1, Math.round(lockMs))};
       SET LOCAL synchronous_commit = on`,
    )
    const result = await step(client)
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: unknown) => {
      broken = failure instanceof Error ? failure : new Error('no rollback')
    })
    throw error
  } finally {
    client.release(broken)
  }
}

/** Runs a query or two outside any transaction. @throws Problem */
export async function translated<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    throw translate(error)
  }
}

/** Of the server (five characters) or of the socket. */
export function postgresCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** True for what a replacement breaks in its row: integrity constraints, and values that do not fit the column. */
export function isConstraint(error: unknown): boolean {
  const code = postgresCode(error) ?? ''
  return /^(?:22|23)/u.test(code) || code === 'P0001'
}

interface Meaning {
  readonly kind: ProblemKind
  readonly text: string
  readonly hint: string
}

const goesOn = 'run the same command again: it goes on where it was'
/** By the beginning of the code, the longest first. */
const meanings: readonly (readonly [prefix: string, meaning: Meaning])[] = [
  ['ECONN', { kind: 'stopped', text: 'it does not answer', hint: `see whether it runs, then ${goesOn}` }],
  ['ENOTFOUND', { kind: 'wrong', text: 'there is no such host', hint: 'check the address' }],
  [
    'ENOENT',
    { kind: 'stopped', text: 'its socket is not there', hint: `see whether it runs, then ${goesOn}` },
  ],
  [
    '28',
    {
      kind: 'wrong',
      text: 'it does not accept this user or password',
      hint: 'check user, PGPASSWORD and pg_hba.conf',
    },
  ],
  ['3D', { kind: 'wrong', text: 'there is no database of that name', hint: 'check the address' }],
  [
    '42501',
    {
      kind: 'wrong',
      text: 'this user may not do that',
      hint: 'it needs SELECT and UPDATE on the table, and CREATE in the schema once',
    },
  ],
  ['25006', { kind: 'wrong', text: 'it is a standby, and does not write', hint: 'connect to the primary' }],
  [
    '53',
    { kind: 'stopped', text: 'it has no room left', hint: `free some space or connections, then ${goesOn}` },
  ],
  [
    '55P03',
    {
      kind: 'stopped',
      text: 'rows are locked by another transaction',
      hint: `end it, then ${goesOn}; --busy-timeout waits longer`,
    },
  ],
  [
    '57014',
    {
      kind: 'stopped',
      text: 'a statement was cancelled',
      hint: `statement_timeout may be too short; ${goesOn}`,
    },
  ],
  ['57P', { kind: 'stopped', text: 'it is shutting down or starting', hint: `wait, then ${goesOn}` }],
  ['08', { kind: 'stopped', text: 'the connection was lost', hint: goesOn }],
  ['XX', { kind: 'refused', text: 'it reports damage or a fault of its own', hint: 'see its log' }],
]

/** An error for the person at the terminal. Nothing half done is left behind by any of these. */
export function translate(error: unknown): unknown {
  if (error instanceof Problem || !(error instanceof Error)) return error
  const code = postgresCode(error)
  if (code === undefined) {
    // node-postgres tells a lost connection in words alone.
    if (!/connection|timeout/iu.test(error.message)) return error
    return new Problem('stopped', 'PostgreSQL: the connection was lost', { hint: goesOn, cause: error })
  }
  const meaning = meanings.find(([prefix]) => code.startsWith(prefix))?.[1]
  const { kind, text, hint } = meaning ?? {
    kind: 'stopped',
    text: 'it refused a statement',
    hint: 'see its log',
  }
  return new Problem(kind, `PostgreSQL: ${text} (${code})`, { hint, cause: error })
}
