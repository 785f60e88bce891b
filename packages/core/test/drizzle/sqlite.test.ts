import Database from 'better-sqlite3'
import { defineRelations, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { alias, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { describe, expect, expectTypeOf, test } from 'vitest'

import { afterMigrating, Encrypted, encryptedColumns, whileMigrating } from '../../src/drizzle/index.ts'
import { fromText, toText } from '../../src/index.ts'
import { testingOpenKeyring } from '../../src/keys/keyring.ts'
import { SqliteKeyStore } from '../../src/stores/sqlite.ts'
import { alice } from '../keys/keyring-fixtures.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import { describeColumns } from './columns-suite.ts'

const ddl = `
  CREATE TABLE people (id INTEGER PRIMARY KEY, email BLOB, email_index BLOB, notes BLOB, photo BLOB, balance BLOB,
    age BLOB, age_index BLOB, is_member BLOB, born BLOB, plain TEXT)`

async function setUp() {
  const client = new Database(':memory:')
  const store = await SqliteKeyStore.open(drizzle({ client }))
  const keyring = testingOpenKeyring({ identities: [alice], recipients: [alice.recipient], store }, Date.now)
  return { client, keyring }
}

describe('SQLite', () => {
  describeColumns(async () => {
    const { client, keyring } = await setUp()
    client.exec(ddl)
    const enc = encryptedColumns(() => keyring.dataKey('people'), {
      table: 'people',
      dialect: 'sqlite',
      indexKey: () => keyring.indexKey('people'),
    })
    const people = sqliteTable('people', {
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
    const db = drizzle({ client })
    return {
      keyring,
      enc,
      people,
      column: (property) => people[property as 'email'],
      insert: async (values) =>
        db
          .insert(people)
          .values(values as typeof people.$inferInsert)
          .run(),
      update: async (id, values) => db.update(people).set(values).where(eq(people.id, id)).run(),
      select: async (where) => db.select().from(people).where(where).orderBy(people.id).all(),
      raw: async () => client.prepare<[], Record<string, unknown>>('SELECT * FROM people ORDER BY id').all(),
      setRaw: async (id, column, value) =>
        client.prepare(`UPDATE people SET ${column} = ? WHERE id = ?`).run(value, id),
    }
  })

  async function withPeople() {
    const { client, keyring } = await setUp()
    const enc = encryptedColumns(await keyring.dataKey('people'), {
      table: 'people',
      dialect: 'sqlite',
      indexKey: await keyring.indexKey('people'),
    })
    const table = sqliteTable('people', {
      id: text().primaryKey(),
      email: enc.text('email').notNull(),
      emailIndex: enc.blindIndex('email_index', { of: 'email' }).notNull(),
      notes: enc.json<{ allergies: string[] }>('notes'),
      friend: text(),
    })
    client.exec(
      'CREATE TABLE people (id TEXT PRIMARY KEY, email BLOB NOT NULL, email_index BLOB NOT NULL, notes BLOB, friend TEXT)',
    )
    return { client, keyring, enc, table, db: drizzle({ client }) }
  }

  test('types: rows in, rows out, and no plain value in between', async () => {
    const { enc, table, db } = await withPeople()
    const row = await enc.row(table, { id: 'a', email: 'ada', notes: { allergies: [] } })
    expectTypeOf(row).toEqualTypeOf<typeof table.$inferInsert>()
    db.insert(table).values(row).run()
    const selected = db.select().from(table).all()
    expectTypeOf(selected).items.toHaveProperty('email').toEqualTypeOf<Encrypted<string>>()
    expectTypeOf(selected)
      .items.toHaveProperty('notes')
      .toEqualTypeOf<Encrypted<{ allergies: string[] }> | null>()
    const [opened] = await enc.open(selected)
    expectTypeOf(opened).exclude<undefined>().toHaveProperty('email').toEqualTypeOf<string>()
    expectTypeOf(opened)
      .exclude<undefined>()
      .toHaveProperty('notes')
      .toEqualTypeOf<{ allergies: string[] } | null>()
    expectTypeOf(await enc.open({ id: 'a', email: selected[0]?.email ?? null })).toEqualTypeOf<{
      id: string
      email: string | null
    }>()
    await db
      .select()
      .from(table)
      .where(await enc.eq(table.email, 'ada'))
    expect(opened?.email).toBe('ada')

    const wrong = () => {
      // @ts-expect-error: a plain value is no encrypted one
      void db.insert(table).values({ id: 'b', email: 'ada', emailIndex: row.emailIndex })
      // @ts-expect-error: nor is it compared with one
      eq(table.email, 'ada')
      // @ts-expect-error: a column that must not be NULL must be given
      void enc.row(table, { id: 'b' })
      // @ts-expect-error: of its own type
      void enc.row(table, { id: 'b', email: 7 })
      // @ts-expect-error: indexes are filled in
      void enc.row(table, { id: 'b', email: 'x', emailIndex: row.emailIndex })
      // @ts-expect-error: the value of a look-up is of the column's type
      void enc.eq(table.email, 7)
      // @ts-expect-error: a column that is not encrypted
      void enc.eq(table.friend, 'x')
    }
    expect(wrong).toBeTypeOf('function')
  })

  test('a returning clause gives encrypted values, which open', async () => {
    const { enc, table, db } = await withPeople()
    const inserted = db
      .insert(table)
      .values(await enc.row(table, { id: 'a', email: 'ada' }))
      .returning()
      .get()
    expect(inserted.email).toBeInstanceOf(Encrypted)
    expect(await enc.open(inserted)).toMatchObject({ id: 'a', email: 'ada', notes: null })
  })

  test('selected by another name, in aliases and in joins', async () => {
    const { enc, table, db } = await withPeople()
    for (const [id, email, friend] of [
      ['a', 'ada', 'b'],
      ['b', 'bert', null],
    ] as const) {
      db.insert(table)
        .values(await enc.row(table, { id, email, friend }))
        .run()
    }
    const named = db.select({ id: table.id, mail: table.email }).from(table).all()
    expect(await enc.open(named)).toEqual([
      { id: 'a', mail: 'ada' },
      { id: 'b', mail: 'bert' },
    ])
    const friends = alias(table, 'friends')
    const joined = db
      .select()
      .from(table)
      .innerJoin(friends, eq(friends.id, table.friend))
      .where(await enc.eq(friends.email, 'bert'))
      .all()
    expect(await enc.open(joined.map((row) => row.people))).toMatchObject([{ id: 'a', email: 'ada' }])
    expect(await enc.open(joined.map((row) => row.friends))).toMatchObject([{ id: 'b', email: 'bert' }])
  })

  test('in relational queries, nested ones too; their filters fail as loudly', async () => {
    const { enc, table, client } = await withPeople()
    const relations = defineRelations({ people: table }, (r) => ({
      people: { other: r.one.people({ from: r.people.friend, to: r.people.id }) },
    }))
    const db = drizzle({ client, relations })
    for (const [id, email, friend] of [
      ['b', 'bert', null],
      ['a', 'ada', 'b'],
    ] as const) {
      db.insert(table)
        .values(await enc.row(table, { id, email, friend }))
        .run()
    }
    const found = await db.query.people.findFirst({ where: { id: 'a' }, with: { other: true } })
    expect(found?.email).toBeInstanceOf(Encrypted)
    if (found?.other === undefined || found.other === null) throw new Error('no friend')
    expect(await enc.open(found.other)).toMatchObject({ id: 'b', email: 'bert' })
    expect(await enc.open(found)).toMatchObject({ id: 'a', email: 'ada' })
    const filter = { where: { email: 'ada' as never } }
    await expect(async () => await db.query.people.findMany(filter)).rejects.toThrow(/neither compared/)
  })

  test('an upsert takes what enc.row made, twice', async () => {
    const { enc, table, db } = await withPeople()
    for (const email of ['ada', 'ida']) {
      const row = await enc.row(table, { id: 'a', email })
      db.insert(table).values(row).onConflictDoUpdate({ target: table.id, set: row }).run()
    }
    expect(await enc.open(db.select().from(table).all())).toMatchObject([{ id: 'a', email: 'ida' }])
  })

  test('another key for another tenant; neither opens the other’s rows', async () => {
    const { enc, keyring, table, db } = await withPeople()
    const of = async (tenant: string) => {
      const keyContext = { tenant }
      return enc.withKey(await keyring.dataKey('people', { keyContext }), {
        indexKey: await keyring.indexKey('people', { keyContext }),
      })
    }
    const [a, b] = [await of('a'), await of('b')]
    db.insert(table)
      .values(await a.row(table, { id: '1', email: 'ada' }))
      .run()
    db.insert(table)
      .values(await b.row(table, { id: '2', email: 'ada' }))
      .run()
    const rows = db
      .select()
      .from(table)
      .where(await a.eq(table.email, 'ada'))
      .all()
    expect(await a.open(rows)).toMatchObject([{ id: '1', email: 'ada' }])
    expect(await codeOf(() => b.open(rows))).toBe('cannot_open')
    expect(await codeOf(() => enc.open(rows))).toBe('cannot_open')
    expect(
      await codeOf(() => enc.withKey(() => keyring.dataKey('people')).row(table, { id: '3', email: 'x' })),
    ).toBe('bad_input')
  })

  test('two properties that name a row bind it together', async () => {
    const { client, keyring } = await setUp()
    const enc = encryptedColumns(() => keyring.dataKey('visits'), {
      table: 'visits',
      dialect: 'sqlite',
      rowId: ['person', 'day'],
    })
    const visits = sqliteTable(
      'visits',
      { person: integer().notNull(), day: text().notNull(), note: enc.text('note') },
      (table) => [primaryKey({ columns: [table.person, table.day] })],
    )
    client.exec('CREATE TABLE visits (person INTEGER, day TEXT, note BLOB, PRIMARY KEY (person, day))')
    const db = drizzle({ client })
    db.insert(visits)
      .values(await enc.row(visits, { person: 7, day: 'mon', note: 'x' }))
      .run()
    const [row] = db.select().from(visits).all()
    expect(await enc.open(row ?? {})).toEqual({ person: 7, day: 'mon', note: 'x' })
    const handle = await keyring.dataKey('visits')
    const stored = client.prepare<[], { note: Uint8Array }>('SELECT note FROM visits').get()
    const recordContext = { table: 'visits', column: 'note', id: '["7","mon"]' }
    expect(handle.decryptValue(new Uint8Array(stored?.note ?? []), { recordContext }).value).toBe('x')
    expect(await codeOf(() => enc.open({ person: 7, note: row?.note }))).toBe('bad_input')
  })

  test('values of another table’s columns are not opened', async () => {
    const { enc, table, db, keyring } = await withPeople()
    const other = encryptedColumns(() => keyring.dataKey('people'), { table: 'people', dialect: 'sqlite' })
    db.insert(table)
      .values(await enc.row(table, { id: 'a', email: 'ada' }))
      .run()
    expect(await codeOf(() => other.open(db.select().from(table).all()))).toBe('bad_input')
    expect(await other.row(table, { id: 'a', email: 'ada' })).toEqual({ id: 'a', email: 'ada' })
  })

  test('what cannot be meant is refused', async () => {
    const { keyring } = await withPeople()
    const key = () => keyring.dataKey('people')
    const right = { table: 'people', dialect: 'sqlite' } as const
    for (const wrong of [{ table: '' }, { dialect: 'mysql' }, { rowId: [] }, { tables: 'people' }]) {
      expect(await codeOf(() => encryptedColumns(key, { ...right, ...wrong } as never))).toBe('bad_input')
    }
    const enc = encryptedColumns(key, right)
    expect(await codeOf(() => enc.text('') as never)).toBe('bad_input')
    expect(await codeOf(() => enc.text('a', { form: 'hex' } as never))).toBe('bad_input')
    expect(await codeOf(() => enc.text('a', { mode: 'x' } as never))).toBe('bad_input')
    for (const bits of [15, 257, 20.5]) {
      expect(await codeOf(() => enc.blindIndex('i', { of: 'a', bits }) as never)).toBe('bad_input')
    }
    const table = sqliteTable('people', { id: integer(), i: enc.blindIndex('i', { of: 'gone' }) })
    expect(await codeOf(() => enc.row(table, { id: 1 }))).toBe('bad_input')
  })

  describe('a column in which both forms stand', () => {
    /** The application's old encryption, as far as it matters here. */
    const oldForm = (value: string) => `old:${toText(new TextEncoder().encode(value))}`
    const openOld = (stored: Uint8Array | string) =>
      new TextDecoder().decode(fromText(String(stored).slice(4)))

    async function letters(options: Parameters<ReturnType<typeof encryptedColumns>['text']>[1]) {
      const { client, keyring } = await setUp()
      client.exec('CREATE TABLE letters (id INTEGER PRIMARY KEY, body TEXT, iv TEXT)')
      const keyContext = { dataset: 'letters' }
      const enc = encryptedColumns(() => keyring.dataKey('letters', { keyContext }), {
        table: 'letters',
        dialect: 'sqlite',
      })
      const table = sqliteTable('letters', {
        id: integer().primaryKey(),
        body: enc.text('body', options),
        iv: text(),
      })
      const db = drizzle({ client })
      const put = (id: number, body: string | null) =>
        client.prepare('INSERT INTO letters VALUES (?, ?, ?)').run(id, body, 'iv')
      /** As `longhold reencrypt` writes: raw bytes, in text form. */
      const reencrypted = async (id: number, value: string | Uint8Array) => {
        const handle = await keyring.dataKey('letters', { keyContext })
        const plaintext = typeof value === 'string' ? new TextEncoder().encode(value) : value
        return toText(
          handle.encrypt(plaintext, { recordContext: { table: 'letters', column: 'body', id: String(id) } }),
        )
      }
      return { enc, table, db, put, reencrypted }
    }

    test('old values, re-encrypted ones and new ones are read; new ones are written', async () => {
      const rows: unknown[] = []
      const open = (stored: Uint8Array | string, row: Readonly<Record<string, unknown>>) => {
        rows.push(row)
        return Promise.resolve(openOld(stored))
      }
      const { enc, table, db, put, reencrypted } = await letters(whileMigrating({ form: 'text', open }))
      put(1, oldForm('one'))
      put(2, await reencrypted(2, 'two'))
      put(4, null)
      db.insert(table)
        .values(await enc.row(table, { id: 3, body: 'three' }))
        .run()
      const opened = await enc.open(db.select().from(table).orderBy(table.id).all())
      expect(opened.map(({ body }) => body)).toEqual(['one', 'two', 'three', null])
      expect(rows).toMatchObject([{ id: 1, iv: 'iv' }])
      expect(rows[0]).toHaveProperty('body')
      expect(db.get<{ body: string }>('SELECT body FROM letters WHERE id = 3')?.body).toMatch(/^TEhS/)
    })

    test('a record that does not open is not tried the old way', async () => {
      const open = () => expect.unreachable()
      const { enc, table, db, put, reencrypted } = await letters(whileMigrating({ form: 'text', open }))
      put(1, await reencrypted(2, 'of another row'))
      expect(await codeOf(() => enc.open(db.select().from(table).all()))).toBe('cannot_open')
      db.update(table).set({ body: null }).run()
      put(2, 'TEhSnot base64url')
      expect(await codeOf(() => enc.open(db.select().from(table).all()))).toBe('bad_text')
    })

    test('after it, old values are errors and re-encrypted ones are not', async () => {
      const { enc, table, db, put, reencrypted } = await letters(afterMigrating({ form: 'text' }))
      put(2, await reencrypted(2, 'two'))
      expect(await enc.open(db.select().from(table).all())).toMatchObject([{ body: 'two' }])
      put(1, oldForm('one'))
      const error = await refusalOf(() => enc.open(db.select().from(table).all()))
      expect(error.code).toBe('malformed')
      expect(error.message).not.toContain(oldForm('one'))
    })

    test('bytes that are no text are refused, unless it is said how they are read', async () => {
      const latin1 = new Uint8Array([0xe9, 0x74, 0xe9])
      const strict = await letters(afterMigrating({ form: 'text' }))
      strict.put(1, await strict.reencrypted(1, latin1))
      expect(await codeOf(() => strict.enc.open(strict.db.select().from(strict.table).all()))).toBe(
        'bad_value',
      )
      const decode = (plaintext: Uint8Array) => new TextDecoder('latin1').decode(plaintext)
      const said = await letters(afterMigrating({ form: 'text', decode }))
      said.put(1, await said.reencrypted(1, latin1))
      expect(await said.enc.open(said.db.select().from(said.table).all())).toMatchObject([{ body: 'été' }])
    })

    test('without either, re-encrypted bytes are no text', async () => {
      const { enc, table, db, put, reencrypted } = await letters({ form: 'text' })
      put(1, await reencrypted(1, 'one'))
      expect(await codeOf(() => enc.open(db.select().from(table).all()))).toBe('cannot_open')
    })
  })
})
