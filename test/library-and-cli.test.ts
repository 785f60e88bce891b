/** One table of wrapped keys, written by the command line and by the library, and read by both. */

import {
  encrypt,
  fromText,
  generateIdentity,
  keyIdOf,
  makeKeyringKey,
  openKeyring,
  parseKeyringKey,
  toText,
} from '@longhold/core'
import { afterMigrating, encryptedColumns, whileMigrating } from '@longhold/core/drizzle'
import { openProtectedIdentities, protectIdentities } from '@longhold/core/passphrase'
import { FileKeyStore } from '@longhold/core/stores/file'
import { SqliteKeyStore } from '@longhold/core/stores/sqlite'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../packages/cli/test/support/cli.ts'
import { oldPem } from '../packages/cli/test/support/legacy-values.ts'
import {
  identity,
  jweOf,
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

describe('a keyring key that longhold reencrypt is given', () => {
  const keys = { identities: [identity], recipients: [identity.recipient] }
  const run = [
    'reencrypt',
    'run',
    '--execute',
    '--workers',
    '1',
    '--format',
    'jwe',
    '--private-key',
    'old.pem',
  ]
  const recipient = ['--recipient', identity.recipient.toString()]
  const opening = ['--identity', 'id.txt']

  function prepare(space: Workspace): void {
    space.write('old.pem', oldPem)
    space.write('id.txt', `${identity.exportText()}\n`)
  }

  test('vouches for the data keys in the database: the application reads on, and writes under them', async () => {
    using space = new Workspace()
    prepare(space)
    await makeNotes(space.file('notes.db'), 10)
    const app = await application(space, afterMigrating({ form: 'text' }))
    const reference = await makeKeyringKey({ ...keys, store: app.store })
    const table = ['notes.db', '--table', 'notes', '--column', 'body', '--dataset', 'set']
    const vouching = ['--keyring-key', reference]
    // Half of the rows are of another layout, and stay.
    const { code } = await space.cli([...run, ...table, ...recipient, ...opening, ...vouching])
    expect(code).toBe(1)
    const keyring = openKeyring({ ...keys, store: app.store, keyringKey: parseKeyringKey(reference) })
    const stored = app.client.prepare<[], { id: number; body: string }>('SELECT id, body FROM notes').all()
    const migrated = stored.filter(({ id }) => id % 2 === 1)
    for (const { id, body } of migrated) {
      const recordContext = { table: 'notes', column: 'body', id: String(id) }
      const opened = await keyring.decrypt(fromText(body), { recordContext })
      expect(new TextDecoder().decode(opened)).toBe(plaintextOf(id))
    }
    expect(migrated).toHaveLength(5)

    // Rewrapping leaves the tags good, and without them the data keys are somebody else's.
    const next = generateIdentity()
    await space.ok(['rewrap', '--sqlite', 'notes.db', ...opening, '--recipient', next.recipient.toString()])
    const [{ body } = { body: '' }] = migrated
    const recordContext = { table: 'notes', column: 'body', id: '1' }
    const read = async () => {
      const keyringKey = parseKeyringKey(reference)
      const theirs = openKeyring({ identities: [next], store: app.store, keyringKey })
      return new TextDecoder().decode(await theirs.decrypt(fromText(body), { recordContext }))
    }
    expect(await read()).toBe(plaintextOf(1))
    app.client.exec('DELETE FROM longhold_vouched_keys')
    await expect(read()).rejects.toMatchObject({ code: 'no_data_key' })
    app.client.close()
  })

  test('and for those beside a file', async () => {
    using space = new Workspace()
    prepare(space)
    const lines = await Promise.all(
      [1, 2, 3].map(async (id) => JSON.stringify({ id, body: await jweOf(id) })),
    )
    space.write('rows.ndjson', lines.join('\n'))
    const before = await FileKeyStore.open(space.file('rows.ndjson.keys.ndjson'))
    const reference = await makeKeyringKey({ ...keys, store: before })
    await before.close()
    const file = ['rows.ndjson', '--id', 'id', '--column', 'body']
    space.write('longhold.yaml', `reencrypt:\n  keyring-key: ${reference}\n`)
    await space.ok([...run, ...file, ...recipient, ...opening])
    await using store = await FileKeyStore.open(space.file('rows.ndjson.keys.ndjson'))
    await using keyring = openKeyring({ ...keys, store, keyringKey: parseKeyringKey(reference) })
    const records = space.read('rows.ndjson.longhold').trim().split('\n')
    for (const [at, line] of records.entries()) {
      const { body } = JSON.parse(line) as { body: string }
      const recordContext = { table: 'rows.ndjson', column: 'body', id: String(at + 1) }
      const opened = await keyring.decrypt(fromText(body), { recordContext })
      expect(new TextDecoder().decode(opened)).toBe(plaintextOf(at + 1))
    }
    expect(records).toHaveLength(3)
  })

  test('must be there, open, and be one', async () => {
    using space = new Workspace()
    prepare(space)
    await makeNotes(space.file('notes.db'), 2)
    const app = await application(space, afterMigrating({ form: 'text' }))
    const reference = await makeKeyringKey({ ...keys, store: app.store })
    space.write('other.txt', `${generateIdentity().exportText()}\n`)
    const table = ['notes.db', '--table', 'notes', '--column', 'body']
    const said = async (...flags: string[]) => {
      const { code, stderr } = await space.cli([...run, ...table, ...recipient, ...flags])
      return `${code} ${stderr}`
    }
    expect(await said('--keyring-key', reference)).toMatch(/^2 [^]*--keyring-key needs an identity/)
    expect(await said(...opening, '--keyring-key', 'A'.repeat(64))).toMatch(/^2 [^]*no such keyring key/)
    expect(await said(...opening, '--keyring-key', 'nonsense')).toMatch(/^2 [^]*not a reference/)
    expect(await said('--identity', 'other.txt', '--keyring-key', reference)).toMatch(
      /^2 [^]*--keyring-key: none of our identities[^]*hint: it was wrapped for/,
    )
    const count = app.client.prepare('SELECT count(*) AS n FROM longhold_data_keys').get()
    expect(count).toEqual({ n: 1 })
    app.client.close()
  })
})
