import { defineRelations, eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { expect, expectTypeOf, test } from 'vitest'

import { encryptedColumns, whileMigrating } from '../../src/drizzle/index.ts'
import type { Encrypted } from '../../src/drizzle/index.ts'
import { testingOpenKeyring } from '../../src/keys/keyring.ts'
import { PostgresKeyStore } from '../../src/stores/postgres.ts'
import { alice } from '../keys/keyring-fixtures.ts'
import { describePostgres } from '../postgres.ts'
import { describeColumns } from './columns-suite.ts'

await describePostgres('PostgreSQL', (pool) => {
  async function setUp() {
    await pool.query(
      'DROP TABLE IF EXISTS longhold_data_keys, longhold_destroyed_keys, longhold_vouched_keys, people, visits, letters',
    )
    const db = drizzle({ client: pool })
    const store = await PostgresKeyStore.open(db)
    const keyring = testingOpenKeyring(
      { identities: [alice], recipients: [alice.recipient], store },
      Date.now,
    )
    return { db, keyring }
  }

  describeColumns(async () => {
    const { db, keyring } = await setUp()
    await pool.query(`
      CREATE TABLE people (id integer PRIMARY KEY, email bytea, email_index bytea, notes bytea, photo bytea,
        balance bytea, age bytea, age_index bytea, is_member bytea, born bytea, plain text)`)
    const enc = encryptedColumns(() => keyring.dataKey('people'), {
      table: 'people',
      dialect: 'postgresql',
      indexKey: () => keyring.indexKey('people'),
    })
    const people = pgTable('people', {
      id: integer().primaryKey(),
      email: enc.text('email'),
      emailIndex: enc.blindIndex('email_index', { of: 'email' }),
      notes: enc.json('notes'),
      photo: enc.bytes('photo'),
      balance: enc.bigint('balance'),
      age: enc.number('age'),
      ageIndex: enc.blindIndex('age_index', { of: 'age', bits: 16 }),
      isMember: enc.boolean('is_member'),
      born: enc.date('born'),
      plain: text(),
    })
    return {
      keyring,
      enc,
      people,
      column: (property) => people[property as 'email'],
      insert: async (values) => await db.insert(people).values(values as typeof people.$inferInsert),
      update: async (id, values) => await db.update(people).set(values).where(eq(people.id, id)),
      select: async (where) => await db.select().from(people).where(where).orderBy(people.id),
      raw: async () => (await pool.query<Record<string, unknown>>('SELECT * FROM people ORDER BY id')).rows,
      setRaw: async (id, column, value) =>
        await pool.query(`UPDATE people SET ${column} = $1 WHERE id = $2`, [value, id]),
    }
  })

  test('types are those of SQLite', async () => {
    const { keyring } = await setUp()
    const enc = encryptedColumns(() => keyring.dataKey('people'), { table: 'people', dialect: 'postgresql' })
    const people = pgTable('people', {
      id: integer().primaryKey(),
      email: enc.text('email').notNull(),
      born: enc.date('born'),
    })
    expectTypeOf<typeof people.$inferSelect>().toEqualTypeOf<{
      id: number
      email: Encrypted<string>
      born: Encrypted<Date> | null
    }>()
    expectTypeOf(await enc.row(people, { id: 1, email: 'x' })).toEqualTypeOf<typeof people.$inferInsert>()
    expectTypeOf<Awaited<ReturnType<typeof enc.open<typeof people.$inferSelect>>>>().toEqualTypeOf<{
      id: number
      email: string
      born: Date | null
    }>()
    // @ts-expect-error: a plain value is not compared with an encrypted column
    const wrong = () => eq(people.email, 'ada')
    expect(wrong).toBeTypeOf('function')
  })

  test('a uuid binds in lower case, as the database gives it', async () => {
    const { db, keyring } = await setUp()
    await pool.query('CREATE TABLE visits (id uuid PRIMARY KEY, note bytea)')
    const enc = encryptedColumns(() => keyring.dataKey('visits'), { table: 'visits', dialect: 'postgresql' })
    const visits = pgTable('visits', { id: uuid().primaryKey(), note: enc.text('note') })
    const id = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'
    await db.insert(visits).values(await enc.row(visits, { id, note: 'x' }))
    expect(await enc.open(await db.select().from(visits))).toEqual([{ id: id.toLowerCase(), note: 'x' }])
  })

  test('relational queries give encrypted values, nested ones too; their filters fail as loudly', async () => {
    const { keyring } = await setUp()
    await pool.query('CREATE TABLE people (id integer PRIMARY KEY, email bytea, friend integer)')
    const enc = encryptedColumns(() => keyring.dataKey('people'), { table: 'people', dialect: 'postgresql' })
    const people = pgTable('people', {
      id: integer().primaryKey(),
      email: enc.text('email'),
      friend: integer(),
    })
    const relations = defineRelations({ people }, (r) => ({
      people: {
        other: r.one.people({ from: r.people.friend, to: r.people.id }),
        admirers: r.many.people({ from: r.people.id, to: r.people.friend }),
      },
    }))
    const db = drizzle({ client: pool, relations })
    await db.insert(people).values(await enc.row(people, { id: 2, email: 'bert' }))
    await db.insert(people).values(await enc.row(people, { id: 1, email: 'ada', friend: 2 }))
    const found = await db.query.people.findMany({
      with: { other: true, admirers: true },
      orderBy: { id: 'asc' },
    })
    expect(await enc.open(found)).toMatchObject([{ email: 'ada' }, { email: 'bert' }])
    expect(await enc.open(found[0]?.other ?? { id: 0 })).toMatchObject({ email: 'bert' })
    expect(await enc.open(found[1]?.admirers ?? [])).toMatchObject([{ email: 'ada' }])
    const filter = { where: { email: { eq: 'ada' as never } } }
    await expect(async () => await db.query.people.findMany(filter)).rejects.toThrow(/neither compared/)
  })

  test('a column of type text holds the text form, beside values in the old one', async () => {
    const { db, keyring } = await setUp()
    await pool.query('CREATE TABLE letters (id integer PRIMARY KEY, body text)')
    const enc = encryptedColumns(() => keyring.dataKey('letters'), {
      table: 'letters',
      dialect: 'postgresql',
    })
    const open = (stored: Uint8Array | string) => String(stored).slice(4)
    const letters = pgTable('letters', {
      id: integer().primaryKey(),
      body: enc.text('body', whileMigrating({ form: 'text', open })),
    })
    await pool.query(`INSERT INTO letters VALUES (1, 'old:one')`)
    await db.insert(letters).values(await enc.row(letters, { id: 2, body: 'two' }))
    const rows = await db.select().from(letters).orderBy(letters.id)
    expect(await enc.open(rows)).toEqual([
      { id: 1, body: 'one' },
      { id: 2, body: 'two' },
    ])
    const stored = await db.execute<{ body: string }>(sql`select body from letters where id = 2`)
    expect(stored.rows[0]?.body).toMatch(/^TEhS[\w-]+$/)
  })

  test('data keys, their limits and records go on under many writers at once', async () => {
    const { db } = await setUp()
    const store = await PostgresKeyStore.open(db)
    const keyrings = [1, 2, 3, 4].map(() =>
      testingOpenKeyring(
        { identities: [alice], recipients: [alice.recipient], store, limits: { maxMessages: 20 } },
        Date.now,
      ),
    )
    const options = { recordContext: {} }
    const records = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const handle = await keyrings[i % 4]?.dataKey('busy')
        for (;;) {
          await handle?.ready()
          try {
            return handle?.encrypt(Uint8Array.of(i), options) ?? new Uint8Array()
          } catch {
            // others used it up between the two
          }
        }
      }),
    )
    const written = new Map<string, number>()
    for (const record of records) {
      const id = record.subarray(4, 20).join()
      written.set(id, (written.get(id) ?? 0) + 1)
    }
    for (const count of written.values()) expect(count).toBeLessThanOrEqual(20)
    const opened = await Promise.all(
      records.map(async (record, i) => await keyrings[(i + 1) % 4]?.decrypt(record, options)),
    )
    expect(opened).toEqual(Array.from({ length: 100 }, (_, i) => Uint8Array.of(i)))
    for (const { messages } of await store.page({ limit: 100 })) expect(messages).toBeLessThanOrEqual(20)
  })
})
