/** Nonsense in place of any argument of encrypted columns, or of a member of one, is refused by a code or taken. */

import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable } from 'drizzle-orm/sqlite-core'
import { expect, test } from 'vitest'

import { afterMigrating, encryptedColumns, whileMigrating } from '../../src/drizzle/index.ts'
import { LongholdError, openKeyring } from '../../src/index.ts'
import { MemoryKeyStore } from '../../src/stores/memory.ts'
import { alice } from '../keys/keyring-fixtures.ts'
import { refusalOf } from '../refusals.ts'

const store = new MemoryKeyStore()
const keyring = openKeyring({ identities: [alice], recipients: [alice.recipient], store })
const key = () => keyring.handle('notes')
const enc = encryptedColumns(key, { table: 'notes', dialect: 'sqlite', indexKey: key })
const notes = sqliteTable('notes', {
  id: integer().primaryKey(),
  body: enc.text('body'),
  bodyIndex: enc.blindIndex('body_index', { of: 'body' }),
})
const client = new Database(':memory:')
client.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body BLOB, body_index BLOB)')
const db = drizzle({ client })
const plain = { id: 1, body: 'x' }
db.insert(notes)
  .values(await enc.row(notes, plain))
  .run()
const rows = db.select().from(notes).all()

type Call = [call: (...args: never[]) => unknown, args: readonly unknown[]]

/** Each with arguments that are right. */
const calls: Record<string, Call> = {
  encryptedColumns: [
    encryptedColumns,
    [key, { table: 'notes', dialect: 'sqlite', rowId: 'id', indexKey: key }],
  ],
  text: [enc.text.bind(enc), ['other', { form: 'bytes', open: () => 'x', decode: () => 'x' }]],
  blindIndex: [enc.blindIndex.bind(enc), ['other', { of: 'body', bits: 64 }]],
  withKey: [enc.withKey.bind(enc), [key, { indexKey: key }]],
  row: [enc.row.bind(enc), [notes, plain]],
  changes: [enc.changes.bind(enc), [notes, plain]],
  open: [enc.open.bind(enc), [rows]],
  'open with a key': [(given: never) => enc.withKey(given).open(rows), [key]],
  'row with a key': [(given: never) => enc.withKey(given, { indexKey: key }).row(notes, plain), [key]],
  'eq with a key': [(given: never) => enc.withKey(key, { indexKey: given }).eq(notes.body, 'x'), [key]],
  eq: [enc.eq.bind(enc), [notes.body, 'x']],
  inArray: [enc.inArray.bind(enc), [notes.body, ['x']]],
  indexOf: [enc.indexOf.bind(enc), [notes.body, 'x']],
  whileMigrating: [whileMigrating, [{ form: 'text', open: () => 'x' }]],
  afterMigrating: [afterMigrating, [{ form: 'text', decode: () => 'x' }]],
}

const nonsense: readonly unknown[] = [
  undefined,
  null,
  true,
  7,
  'x',
  10n,
  Symbol('s'),
  [],
  [null],
  {},
  () => 1,
  () => null,
  new Uint8Array(3),
  Promise.resolve(1),
]

function* spoiled(args: readonly unknown[]): Generator<readonly unknown[]> {
  for (const [at, arg] of args.entries()) {
    for (const junk of nonsense) {
      yield args.with(at, junk)
      if (typeof arg !== 'object' || Object.getPrototypeOf(arg) !== Object.prototype) continue
      for (const name of Object.keys(arg ?? {})) yield args.with(at, { ...arg, [name]: junk })
    }
  }
}

test.each(Object.entries(calls))('%s', async (_, [call, args]) => {
  await call(...(args as never[]))
  const wrong: string[] = []
  let refused = 0
  for (const given of spoiled(args)) {
    try {
      await call(...(given as never[]))
    } catch (error) {
      refused++
      if (!(error instanceof LongholdError)) wrong.push(String(error))
    }
  }
  expect(wrong).toEqual([])
  expect(refused).toBeGreaterThan(0)
})

test('a query that nobody waited for is not taken for a row', async () => {
  const query = db.select().from(notes)
  for (const given of [query, [query], Promise.resolve(rows)]) {
    expect(await refusalOf(() => enc.open(given))).toMatchObject({
      code: 'bad_input',
      hint: 'await it first',
    })
  }
  expect(await enc.open(await query)).toMatchObject([plain])
})
