/** One table of wrapped keys, written by the command line and by the library, and read by both. */

import { encrypt, generateIdentity, keyIdOf, fromText, openKeyring, toText } from '@longhold/core'
import { afterMigrating, encryptedColumns, whileMigrating } from '@longhold/core/drizzle'
import { openProtectedIdentities, protectIdentities } from '@longhold/core/passphrase'
import { SqliteKeyStore } from '@longhold/core/stores/sqlite'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { expect, test } from 'vitest'

import { Workspace } from '../packages/cli/test/support/cli.ts'
import {
  identity,
  makeNotes,
  migrateTable,
  notesOptions,
  plaintextOf,
} from '../packages/cli/test/support/migration.ts'

/** The keyring and the table of an application over the database of `space`. */
async function application(space: Workspace, options: ReturnType<typeof afterMigrating<string>>) {
  const client = new Database(space.file('notes.db'))
  const db = drizzle({ client })
  const store = await SqliteKeyStore.open(db)
  const keyring = openKeyring({ identities: [identity], recipients: [identity.recipient], store })
  // As `longhold reencrypt` names them; the tests' runs are of the dataset "set".
  const enc = encryptedColumns(() => keyring.dataKey('set', { keyContext: { dataset: 'set' } }), {
    table: 'notes',
    dialect: 'sqlite',
  })
  const notes = sqliteTable('notes', {
    id: integer().primaryKey(),
    body: enc.text('body', options),
    owner: text().notNull(),
  })
  return { client, db, store, keyring, enc, notes }
}

test('columns read what longhold reencrypt wrote, what it has not reached, and what enc.row writes', async () => {
  using space = new Workspace()
  await makeNotes(space.file('notes.db'), 20)
  // Odd ids hold a JWE and are migrated; even ones hold another layout and stay.
  await migrateTable(notesOptions(space.file('notes.db')))
  const opened: number[] = []
  const app = await application(
    space,
    whileMigrating({
      form: 'text',
      open: (stored, row) => {
        expect(stored).toBeTypeOf('string')
        opened.push(Number(row['id']))
        return plaintextOf(Number(row['id']))
      },
    }),
  )
  const { db, enc, notes } = app
  db.insert(notes)
    .values(await enc.row(notes, { id: 21, body: plaintextOf(21), owner: 'x' }))
    .run()
  const rows = await enc.open(db.select().from(notes).orderBy(notes.id).all())
  expect(rows.map(({ body }) => body)).toEqual(rows.map(({ id }) => plaintextOf(id)))
  expect(opened.toSorted((a, b) => a - b)).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
  app.client.close()
})

test('longhold rewrap goes over the data keys of the library, and the library goes on', async () => {
  using space = new Workspace()
  await makeNotes(space.file('notes.db'), 0)
  const app = await application(space, afterMigrating({ form: 'text' }))
  const row = await app.enc.row(app.notes, { id: 1, body: 'one', owner: 'x' })
  app.db.insert(app.notes).values(row).run()
  await app.keyring.indexKey('notes')
  await app.keyring.destroy(await app.keyring.rotate('gone'))

  const next = generateIdentity()
  space.write('old.txt', `${identity.exportText()}\n`)
  const recipients = ['--recipient', identity.recipient.toString(), '--recipient', next.recipient.toString()]
  const result = await space.cli([
    'rewrap',
    '--sqlite',
    'notes.db',
    '--identity',
    'old.txt',
    ...recipients,
    '--json',
  ])
  expect(result.code, result.stderr).toBe(0)
  expect(JSON.parse(result.stdout)).toMatchObject({ rewrapped: 2, unchanged: 0, failed: [] })

  const { store } = app
  const theirs = openKeyring({ identities: [next], recipients: [next.recipient], store })
  const stored = app.client.prepare<[], { body: string }>('SELECT body FROM notes').get()
  const record = fromText(stored?.body ?? '')
  const recordContext = { table: 'notes', column: 'body', id: '1' }
  expect(await theirs.decryptValue(record, { recordContext })).toEqual({ type: 'string', value: 'one' })
  expect(await store.get(keyIdOf(record))).toMatchObject({ state: 'writing', name: 'set' })
  app.client.close()
})

test('identities under a passphrase are read by both, whoever protected them', async () => {
  using space = new Workspace()
  const words = 'correct horse battery staple'
  space.write('words.txt', `${words}\n`)
  const flags = ['--passphrase-file', 'words.txt']
  const recipient = (await space.ok(['keygen', ...flags, '-o', 'carol.txt'])).stdout.trim()
  const [carol] = await openProtectedIdentities(space.read('carol.txt'), words)
  expect(carol?.recipient.toString()).toBe(recipient)

  const dave = generateIdentity()
  space.write('dave.txt', await protectIdentities([dave], words))
  const envelope = await encrypt(new TextEncoder().encode('for dave'), { recipients: [dave.recipient] })
  space.write('dave.lh', toText(envelope))
  const { stdout } = await space.ok(['decrypt', 'dave.lh', '--identity', 'dave.txt', ...flags])
  expect(stdout).toBe('for dave')
})
