/** Suites that need a PostgreSQL server. */

import { Pool } from 'pg'
import { afterAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../test/postgres.ts'

/** Declares a suite with a pool on a server of its own. Where there is no server, the run's last lines say why. */
export async function describePostgres(name: string, suite: (pool: Pool) => void): Promise<void> {
  const server = await startPostgres()
  test.for('missing' in server ? [server.missing] : [])(name, (reason, { skip }) => {
    skip(reason)
    expect.unreachable()
  })
  describe.for('missing' in server ? [] : [server])(name, (running) => {
    const pool = new Pool({ connectionString: running.url, max: 8 })
    afterAll(async () => {
      await pool.end()
      await running[Symbol.asyncDispose]()
    })
    suite(pool)
  })
}
