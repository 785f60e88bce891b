/** Suites that need a PostgreSQL server. */

import { Pool } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'

/** An address of an empty database, and a way past the store. */
export interface TestDatabase {
  readonly url: string
  readonly pool: Pool
}

/**
 * Declares a suite on a server of its own. Where there is no server, the run's last lines say why.
 *
 * @param suite Gets what makes an empty database.
 */
export async function describePostgres(
  name: string,
  suite: (makeDatabase: () => Promise<TestDatabase>) => void,
): Promise<void> {
  const server = await startPostgres()
  test.for('missing' in server ? [server.missing] : [])(name, (reason, { skip }) => {
    skip(reason)
    expect.unreachable()
  })
  describe.for('missing' in server ? [] : [server])(name, (running) => {
    const admin = new Pool({ connectionString: running.url, max: 1 })
    const pools = [admin]
    let count = 0
    afterAll(async () => {
      for (const pool of pools.toReversed()) await pool.end()
      await running[Symbol.asyncDispose]()
    })
    suite(async () => {
      const database = `kms_${++count}`
      await admin.query(`create database ${database}`)
      const url = running.url.replace('/postgres?', `/${database}?`)
      const pool = new Pool({ connectionString: url, max: 1 })
      pools.push(pool)
      return { url, pool }
    })
  })
}
