/**
 * One run at a time on a table of PostgreSQL. The lock is an advisory one of a transaction that does nothing else and stays open:
 * it ends with its connection, whatever becomes of the process, also behind a pooler, and having read and written
 * nothing it holds up no vacuum.
 */

import type { Pool, PoolClient } from 'pg'

import { Problem } from './problem.ts'

/** For the two halves of an advisory lock: any number of ours, and the table's. */
const lockSpace = 0x6c_68_72_31
const coordinatorSpace = 0x6c_68_72_32

/**
 * - `alone`: nobody else
 * - `member`: with the others of a fleet
 * - `coordinator`: so too, and the only one that plans
 */
export type TableLockKind = 'alone' | 'member' | 'coordinator'

const takes: Readonly<Record<TableLockKind, string>> = {
  alone: 'pg_try_advisory_xact_lock($1, $2)',
  member: 'pg_try_advisory_xact_lock_shared($1, $2)',
  coordinator: `pg_try_advisory_xact_lock(${coordinatorSpace}, $2) AND pg_try_advisory_xact_lock_shared($1, $2)`,
}

const others: Readonly<Record<TableLockKind, string>> = {
  alone: 'another run',
  member: 'a run of one machine',
  coordinator: 'another run, or the coordinator of a fleet,',
}

export class TableLock {
  readonly #client: PoolClient
  #isLost = false

  private constructor(client: PoolClient) {
    this.#client = client
    client.on('error', () => {
      this.#isLost = true
    })
    client.on('end', () => {
      this.#isLost = true
    })
  }

  /** @throws Problem `stopped` when another run holds it. */
  static async take(pool: Pool, oid: number, kind: TableLockKind, shown: string): Promise<TableLock> {
    const client = await pool.connect()
    try {
      await client.query('BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0')
      const { rows } = await client.query<{ taken: boolean }>(`SELECT ${takes[kind]} AS taken`, [
        lockSpace,
        oid,
      ])
      if (rows[0]?.taken === true) return new TableLock(client)
    } catch (error) {
      client.release(true)
      throw error
    }
    client.release(true)
    throw new Problem('stopped', `${others[kind]} is at work on ${shown}`, {
      hint: 'longhold reencrypt status shows it; wait until it has ended',
    })
  }

  /** @throws Problem `stopped` once its connection is gone, and with it the lock. */
  check(): void {
    if (!this.#isLost) return
    throw new Problem('stopped', 'PostgreSQL: the connection that held the lock was lost', {
      hint: 'run the same command again: it goes on where it was',
    })
  }

  async release(): Promise<void> {
    // Asked for, so that it is free when this returns; a connection that is gone has freed it.
    const isEnded = await this.#client.query('ROLLBACK').catch(() => undefined)
    this.#client.release(isEnded === undefined)
  }

  /** Whether some connection holds it. Changes nothing. */
  static async isHeld(pool: Pool, oid: number): Promise<boolean> {
    const { rows } = await pool.query<{ held: boolean }>(
      `SELECT EXISTS (SELECT 1 FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::int8::oid AND objid = $2::int8::oid
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS held`,
      [lockSpace, oid],
    )
    return rows[0]?.held === true
  }
}
