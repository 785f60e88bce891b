import { defaultSuite } from '@longhold/core'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import type { TestPostgres } from '../../../../test/postgres.ts'
import { verify } from '../../src/reencrypt/verify.ts'
import { openPostgresTable, readPostgresTable } from '../../src/sources/postgres-table.ts'
import type { PostgresTableOptions } from '../../src/sources/postgres-table.ts'
import type { RowReader } from '../../src/sources/row-source.ts'
import { rowSourceContract } from '../contracts/row-source.ts'
import { identity, jweOf, migrate } from '../support/migration.ts'

const server = await startPostgres()
const columns = { own: ['v'], read: [] }

describe.skipIf('missing' in server)('a table of PostgreSQL', () => {
  const { url } = server as TestPostgres // not entered otherwise
  let client: Client

  beforeAll(async () => {
    client = new Client({ connectionString: url })
    await client.connect()
  })
  afterAll(async () => {
    await client.end()
    await (server as TestPostgres)[Symbol.asyncDispose]()
  })

  const options = (more: Partial<PostgresTableOptions> = {}): PostgresTableOptions => {
    return { url, table: 't', columns, busyTimeoutMs: 1000, ...more }
  }

  async function make(...statements: readonly string[]): Promise<void> {
    const ours = [
      't',
      'longhold_run_dead',
      'longhold_run',
      'longhold_data_keys',
      'longhold_vouched_keys',
      'longhold_destroyed_keys',
    ]
    for (const table of ours) await client.query(`DROP TABLE IF EXISTS ${table} CASCADE`)
    for (const statement of statements) await client.query(statement)
  }

  async function insert(rows: readonly (readonly unknown[])[]): Promise<void> {
    for (const row of rows) {
      await client.query(`INSERT INTO t VALUES (${row.map((_, index) => `$${index + 1}`).join(', ')})`, [
        ...row,
      ])
    }
  }

  async function valuesOf(column = 'v'): Promise<unknown[]> {
    const { rows } = await client.query<{ value: unknown }>(`SELECT ${column} AS value FROM t ORDER BY id`)
    return rows.map(({ value }) => value)
  }

  /** A whole run over the table. */
  async function migrateTable(
    more: Partial<PostgresTableOptions> = {},
    ...migration: Parameters<typeof migrate> extends [unknown, ...infer Rest] ? Rest : never
  ) {
    const source = await openPostgresTable(options(more))
    try {
      return await migrate(source, ...migration)
    } finally {
      await source.close()
    }
  }

  describe.each([
    ['text', 'int primary key', 'text'],
    ['bigint and varchar', 'bigint primary key', 'varchar'],
  ])('of %s', (_, key, type) => {
    rowSourceContract({
      async fill(_directory, values) {
        await make(`CREATE TABLE t (id ${key}, v ${type})`)
        await insert(values.map((value, index) => [index + 1, value]))
      },
      open: () => openPostgresTable(options()),
      read: () => readPostgresTable(options()),
    })
  })

  describe('keys', () => {
    async function ids(maxRows: number): Promise<string[]> {
      const reader: RowReader = await readPostgresTable(options())
      const found: string[] = []
      for (let after: string | undefined; ;) {
        const page = await reader.read(after, { maxRows, maxBytes: 1e9 })
        found.push(...page.rows.map(({ id }) => id))
        after = page.position
        if (page.isLast) break
      }
      await reader.close()
      return found
    }

    test.each([
      ['int', [-5, 0, 7, 2 ** 31 - 1], ['-5', '0', '7', '2147483647']],
      ['bigint', ['9007199254740993', '-9223372036854775808'], ['-9223372036854775808', '9007199254740993']],
      ['numeric', ['100000000000000000000000', '2'], ['2', '100000000000000000000000']],
      ['uuid', ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'], ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
      ['text', ['b', "o'r\\", 'ä', '', 'a'], ['', 'a', 'b', "o'r\\", 'ä']],
      ['bytea', [Buffer.from([255, 0]), Buffer.from([1])], ['01', 'ff00']],
    ])('%s', async (type, keys, expected) => {
      await make(`CREATE TABLE t (id ${type} PRIMARY KEY, v text)`)
      await insert(keys.map((key) => [key, 'v']))
      for (const maxRows of [1, 2, 100]) expect(await ids(maxRows)).toEqual(expected)
    })

    test('of several columns, in their own order, as a JSON array', async () => {
      await make('CREATE TABLE t (v text, id int, part text, b bytea, PRIMARY KEY (part, id, b))')
      const rows = [1, 2].flatMap((id) => ['x', 'y"'].map((part) => ['v', id, part, Buffer.from([id])]))
      await insert(rows)
      for (const maxRows of [1, 3]) {
        expect(await ids(maxRows)).toEqual([
          '["x","1","01"]',
          '["x","2","02"]',
          '["y\\"","1","01"]',
          '["y\\"","2","02"]',
        ])
      }
    })

    test('rows that are wider than a page come one by one', async () => {
      await make('CREATE TABLE t (id int PRIMARY KEY, v text)')
      await insert([1, 2, 3].map((id) => [id, 'x'.repeat(100_000)]))
      const reader = await readPostgresTable(options())
      const page = await reader.read(undefined, { maxRows: 100, maxBytes: 150_000 })
      expect(page.rows.map(({ id }) => id)).toEqual(['1', '2'])
      expect(page.isLast).toBe(false)
      await reader.close()
    })
  })

  describe('a run', () => {
    test.each([
      ['text', (token: string) => token, (value: unknown) => String(value).startsWith('TEhS')],
      [
        'bytea',
        (token: string) => Buffer.from(token),
        (value: unknown) => (value as Buffer).subarray(0, 3).toString() === 'LHR',
      ],
      [
        'jsonb',
        (token: string) => JSON.stringify(token),
        (value: unknown) => String(value).startsWith('TEhS'),
      ],
      [
        'json',
        (token: string) => JSON.stringify(token),
        (value: unknown) => String(value).startsWith('TEhS'),
      ],
    ])('over a column of type %s', async (type, stored, isRecord) => {
      await make(`CREATE TABLE t (id int PRIMARY KEY, v ${type})`)
      await insert(await Promise.all([1, 2, 3, 4, 5].map(async (id) => [id, stored(await jweOf(id))])))
      const state = await migrateTable()
      expect(state).toMatchObject({ status: 'finished', migrated: 5, conflicts: 0 })
      expect(state.counts).toMatchObject({ found: 5, earlier: 5, dead: 0 })
      expect((await valuesOf()).every(isRecord)).toBe(true)
      // Idempotent: another run changes nothing.
      const before = await valuesOf()
      expect(await migrateTable()).toMatchObject({ migrated: 0, counts: { found: 5, already: 5 } })
      expect(await valuesOf()).toEqual(before)
    })

    test('leaves alone what was changed since it was read, and takes it in the next pass', async () => {
      await make('CREATE TABLE t (id int PRIMARY KEY, v text)')
      await insert(await Promise.all([1, 2, 3].map(async (id) => [id, await jweOf(id)])))
      const newer = await jweOf(22)
      let isFirst = true
      const state = await migrateTable(
        {},
        {
          run: {
            testingBeforeCommit: async () => {
              if (!isFirst) return
              isFirst = false
              await client.query('UPDATE t SET v = $1 WHERE id = 2', [newer])
              await client.query('DELETE FROM t WHERE id = 3')
            },
          },
        },
      )
      expect(state).toMatchObject({ status: 'finished', migrated: 2, conflicts: 2 })
      expect(state.counts).toMatchObject({ found: 2, earlier: 2 })
    })

    test('a row that a constraint, a length or a trigger keeps is a dead letter, and the others go on', async () => {
      await make(
        `CREATE TABLE t (id int PRIMARY KEY, v varchar(2000), CHECK (id <> 2 OR v LIKE 'eyJ%'))`,
        `CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.id = 3 THEN RETURN NULL; END IF;
           IF NEW.id = 4 THEN NEW.v := left(NEW.v, 20); END IF;
           IF NEW.id = 5 THEN RAISE EXCEPTION 'no'; END IF;
           RETURN NEW; END $$`,
        'CREATE TRIGGER keep BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION keep()',
      )
      await insert(await Promise.all([1, 2, 3, 4, 5, 6].map(async (id) => [id, await jweOf(id)])))
      const before = await valuesOf()
      const state = await migrateTable()
      expect(state).toMatchObject({ status: 'finished', migrated: 2 })
      expect(state.counts).toMatchObject({ found: 6, dead: 4, conflict: 0 })
      const after = await valuesOf()
      expect([1, 2, 3, 4].map((at) => after[at] === before[at])).toEqual([true, true, true, true])
      const reader = await readPostgresTable(options())
      const letters = await Array.fromAsync(reader.deadLetters(state.runId))
      expect(letters.map(({ locator, code }) => `${locator} ${code}`)).toEqual([
        '2 constraint',
        '3 not_replaced',
        '4 not_replaced',
        '5 constraint',
      ])
      expect(reader.target.notices.join()).toMatch(/trigger keep fires.*|varchar/)
      await reader.close()
    })

    test('takes whatever collation says is equal for what it is', async () => {
      await make(
        `CREATE COLLATION IF NOT EXISTS blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)`,
        'CREATE TABLE t (id int PRIMARY KEY, v text COLLATE blind)',
      )
      const token = await jweOf(1)
      await insert([[1, token]])
      const state = await migrateTable(
        {},
        {
          run: {
            maxPasses: 1,
            // Another text that this collation takes for the same.
            testingBeforeCommit: async () => void (await client.query('UPDATE t SET v = upper(v)')),
          },
        },
      )
      expect(state.conflicts).toBe(1)
      expect(await valuesOf()).toEqual([token.toUpperCase()])
    })

    test('without compare-and-swap an update would be lost: the same, and it is', async () => {
      await make('CREATE TABLE t (id int PRIMARY KEY, v text)')
      await insert([[1, await jweOf(1)]])
      const state = await migrateTable(
        { testingWithoutCompareAndSwap: true },
        {
          run: {
            maxPasses: 1,
            testingBeforeCommit: async () => void (await client.query(`UPDATE t SET v = 'new'`)),
          },
        },
      )
      expect(state.conflicts).toBe(0)
      expect(await valuesOf()).not.toEqual(['new'])
    })
  })

  describe('what is refused before anything is done', () => {
    test.each([
      ['no such table', 'CREATE TABLE t (id int PRIMARY KEY, v text)', { table: 'u' }, /no table u/],
      [
        'a schema that has none',
        'CREATE TABLE t (id int PRIMARY KEY, v text)',
        { table: 'other.t' },
        /no table other.t/,
      ],
      ['no such column', 'CREATE TABLE t (id int PRIMARY KEY, w text)', {}, /no column v/],
      ['no primary key', 'CREATE TABLE t (id int, v text)', {}, /no primary key/],
      [
        'a key of time',
        'CREATE TABLE t (id timestamptz PRIMARY KEY, v text)',
        {},
        /primary key is timestamp with time zone/,
      ],
      ['a view', 'CREATE TABLE u (id int, v text); CREATE VIEW t AS SELECT * FROM u', {}, /a view/],
      ['a number', 'CREATE TABLE t (id int PRIMARY KEY, v int)', {}, /v of t is integer/],
      [
        'a generated column',
        `CREATE TABLE t (id int PRIMARY KEY, v text GENERATED ALWAYS AS ('x') STORED)`,
        {},
        /is generated/,
      ],
      ['the key itself', 'CREATE TABLE t (id int, v text PRIMARY KEY)', {}, /part of the primary key/],
      [
        'a second column that cannot be NULL',
        'CREATE TABLE t (id int PRIMARY KEY, v text, w text NOT NULL)',
        { columns: { own: ['v', 'w'], read: [] } },
        /w of t is NOT NULL/,
      ],
      ['a password in the address', 'SELECT 1', { url: 'postgres://a:b@localhost/x' }, /holds a password/],
      ['no address', 'SELECT 1', { url: 'postgres://' }, /./],
    ])('%s', async (_, sql, more, message) => {
      await client.query('DROP VIEW IF EXISTS t').catch(() => {}) // a table of that name is none
      await make('DROP TABLE IF EXISTS u', sql)
      await expect(openPostgresTable(options(more))).rejects.toThrow(message)
    })

    test('rows that this user does not see', async () => {
      await client.query('DROP VIEW IF EXISTS t').catch(() => {})
      await make(
        'CREATE TABLE t (id int PRIMARY KEY, v text)',
        'ALTER TABLE t ENABLE ROW LEVEL SECURITY',
        'DROP ROLE IF EXISTS some_user',
        'CREATE ROLE some_user LOGIN',
        'GRANT ALL ON t TO some_user',
      )
      const address = new URL(url)
      address.username = 'some_user'
      await expect(openPostgresTable(options({ url: address.href }))).rejects.toThrow(
        /row security hides rows/,
      )
      await make('DROP ROLE some_user')
    })

    test('a table of ours that is somebody else’s', async () => {
      await make('CREATE TABLE t (id int PRIMARY KEY, v text)', 'CREATE TABLE longhold_run (id int)')
      const source = await openPostgresTable(options())
      await expect(migrate(source)).rejects.toThrow(/longhold_run has no column/)
      await source.close()
    })
  })

  test('a lock that was lost stops the run at once', async () => {
    await make('CREATE TABLE t (id int PRIMARY KEY, v text)')
    await insert([[1, await jweOf(1)]])
    const source = await openPostgresTable(options())
    const run = migrate(source, {
      run: {
        testingBeforeCommit: async () => {
          await client.query(
            `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()`,
          )
          await client.query('SELECT pg_sleep(0.2)')
        },
      },
    })
    await expect(run).rejects.toThrow(/connection that held the lock was lost/)
    await source.close()
    expect(await migrateTable()).toMatchObject({ status: 'finished', migrated: 1 })
  })

  test('a server that does not answer', async () => {
    const address = new URL(url)
    address.searchParams.set('host', '/nowhere')
    await expect(openPostgresTable(options({ url: address.href }))).rejects.toThrow(
      /PostgreSQL: its socket is not there/,
    )
  })

  test('what is written opens with an identity, in its row alone', async () => {
    await make('CREATE TABLE t (id int PRIMARY KEY, v text)')
    await insert(await Promise.all([1, 2, 3].map(async (id) => [id, await jweOf(id)])))
    await migrateTable()
    const opened = async () => {
      const reader = await readPostgresTable(options())
      const { opened: count, failures } = await verify({
        reader,
        identities: [identity],
        suites: [defaultSuite],
        onProgress: () => {},
        checkStop: () => {},
      })
      await reader.close()
      return [count, [...failures.keys()]]
    }
    expect(await opened()).toEqual([3, []])
    await client.query('UPDATE t SET v = (SELECT v FROM t WHERE id = 1) WHERE id = 2')
    expect(await opened()).toEqual([2, ['cannot_open']])
  })
})
