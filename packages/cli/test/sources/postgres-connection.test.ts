import { Client } from 'pg'
import { expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import { openPool, transaction } from '../../src/sources/postgres-connection.ts'

const server = await startPostgres()

test.skipIf('missing' in server)(
  'a connection lost in a transaction is an error of who asks next',
  async () => {
    if ('missing' in server) return
    await using _ = server
    const pool = openPool({ url: server.url, busyTimeoutMs: 1000 })
    const other = new Client({ connectionString: server.url })
    await other.connect()
    const lost = transaction(pool, { url: server.url, busyTimeoutMs: 1000 }, async (client) => {
      const heard = new Promise((resolve) => client.once('end', resolve))
      await other.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
        ['longhold reencrypt'],
      )
      await heard
      await client.query('SELECT 1')
    })
    await expect(lost).rejects.toThrow()
    expect((await pool.query('SELECT 1')).rowCount).toBe(1)
    await other.end()
    await pool.end()
  },
)
