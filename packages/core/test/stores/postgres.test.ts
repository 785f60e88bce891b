import { drizzle } from 'drizzle-orm/node-postgres'
import { Client, Pool } from 'pg'
import { expect, test } from 'vitest'

import { PostgresKeyStore, postgresSchema } from '../../src/stores/postgres.ts'
import { describeWrappedKeyStore, newKey } from '../contracts/wrapped-key-store.ts'
import { describePostgres } from '../postgres.ts'
import { codeOf, refusalOf } from '../refusals.ts'

await describePostgres('PostgreSQL', (pool) => {
  const dropTables = () =>
    pool.query('DROP TABLE IF EXISTS longhold_data_keys, longhold_destroyed_keys, longhold_vouched_keys')

  describeWrappedKeyStore('PostgreSQL', async () => {
    await dropTables()
    return await PostgresKeyStore.open(drizzle({ client: pool }))
  })

  test('ten processes that open it at once make the tables once', async () => {
    await dropTables()
    const stores = await Promise.all(
      Array.from({ length: 10 }, () => PostgresKeyStore.open(drizzle({ client: pool }))),
    )
    for (const store of stores) expect(await store.page({ limit: 1 })).toEqual([])
  })

  test('a role that may not make tables uses those that are there', async () => {
    await dropTables()
    for (const statement of postgresSchema) await pool.query(statement)
    await pool.query('DROP ROLE IF EXISTS application')
    await pool.query('CREATE ROLE application LOGIN')
    const tables = 'longhold_data_keys, longhold_destroyed_keys, longhold_vouched_keys'
    await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${tables} TO application`)
    const client = new Pool({
      connectionString: pool.options.connectionString?.replace('postgres@', 'application@'),
    })
    try {
      const store = await PostgresKeyStore.open(drizzle({ client }))
      expect(await store.page({ limit: 1 })).toEqual([])
    } finally {
      await client.end()
      await dropTables()
      await pool.query('DROP ROLE application')
    }
  })

  test('works where the default isolation is serializable', async () => {
    await dropTables()
    const client = new Pool({
      connectionString: pool.options.connectionString,
      options: '-c default_transaction_isolation=serializable',
    })
    try {
      const store = await PostgresKeyStore.open(drizzle({ client }))
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => store.insertWriting(newKey(i + 1), undefined)),
      )
      expect(answers.filter(({ inserted }) => inserted)).toHaveLength(1)
    } finally {
      await client.end()
    }
  })

  test('a server that cannot be reached is unavailable, and its text is not passed on', async () => {
    const client = new Pool({ host: '/nonexistent-folder', user: 'u', password: 'secret-password' })
    const error = await refusalOf(() => PostgresKeyStore.open(drizzle({ client })))
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain('ENOENT')
    expect(JSON.stringify(error) + error.message + String(error.cause)).not.toContain('secret-password')
    await client.end()
  })

  test('opens a Drizzle database and no transaction, no pool and nothing else', async () => {
    // Callers from JavaScript pass what they have at hand.
    for (const db of [undefined, null, pool, {}] as never[])
      expect(await codeOf(() => PostgresKeyStore.open(db))).toBe('bad_input')
    await drizzle({ client: pool }).transaction(async (tx) => {
      const error = await refusalOf(() => PostgresKeyStore.open(tx))
      expect(error).toMatchObject({ code: 'bad_input', message: expect.stringContaining('transaction') })
    })
  })

  test('over one connection it is refused: it would commit what the application has begun on it', async () => {
    await dropTables()
    await PostgresKeyStore.open(drizzle({ client: pool }))
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await client.query('CREATE TEMPORARY TABLE begun (a integer)')
      const error = await refusalOf(() => PostgresKeyStore.open(drizzle({ client })))
      expect(error).toMatchObject({ code: 'bad_input', hint: expect.stringContaining('Pool') })
      await client.query('ROLLBACK')
      const { rows } = await client.query<{ there: boolean }>(
        `SELECT to_regclass('begun') IS NOT NULL AS there`,
      )
      expect(rows).toEqual([{ there: false }])
    } finally {
      client.release()
    }
    const alone = new Client({ connectionString: pool.options.connectionString })
    expect(await codeOf(() => PostgresKeyStore.open(drizzle({ client: alone })))).toBe('bad_input')
  })

  test('beside a transaction of the application on the same pool, data keys are made and stay', async () => {
    await dropTables()
    const db = drizzle({ client: pool })
    const store = await PostgresKeyStore.open(db)
    const undone = db.transaction(async (tx) => {
      await tx.execute('SELECT 1')
      expect(await store.insertWriting(newKey(1), undefined)).toMatchObject({ inserted: true })
      tx.rollback()
    })
    await expect(undone).rejects.toThrow('Rollback')
    expect(await store.page({ limit: 5 })).toMatchObject([{ keyId: newKey(1).keyId }])
  })

  test('an error never holds a parameter', async () => {
    await dropTables()
    const store = await PostgresKeyStore.open(drizzle({ client: pool }))
    await dropTables()
    const error = await refusalOf(() => store.insertWriting(newKey(1), undefined))
    expect(error.message).toContain('42P01')
    expect(error.message).not.toMatch(/insert|select|users/i)
    expect(error.cause).toBeUndefined()
  })
})
