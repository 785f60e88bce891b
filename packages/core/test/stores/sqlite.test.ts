import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'

import { toBase64url } from '../../src/bytes.ts'
import type { LongholdError } from '../../src/errors.ts'
import { SqliteKeyStore } from '../../src/stores/sqlite.ts'
import { describeWrappedKeyStore, newKey, owner, wrappedKeyOf } from '../contracts/wrapped-key-store.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import { filled } from '../samples.ts'

const folder = mkdtempSync(join(tmpdir(), 'longhold-sqlite-'))
const open: Database.Database[] = []
let files = 0

function database(path = join(folder, `${files++}.sqlite`)): Database.Database {
  const client = new Database(path)
  open.push(client)
  return client
}

afterAll(() => {
  for (const client of open) client.close()
  rmSync(folder, { recursive: true, force: true })
})

describeWrappedKeyStore('SQLite', () => SqliteKeyStore.open(drizzle({ client: database() })))

test('two connections to one file see each other', async () => {
  const client = database()
  const first = await SqliteKeyStore.open(drizzle({ client }))
  const second = await SqliteKeyStore.open(drizzle({ client: database(client.name) }))
  await first.insertWriting(newKey(1), undefined)
  expect(await second.insertWriting(newKey(2), undefined)).toMatchObject({ inserted: false })
  expect(await second.findWriting(owner)).toMatchObject({ keyId: filled(1, 16) })
})

test('the columns are those of SPEC §12, in its order', async () => {
  const client = database()
  await SqliteKeyStore.open(drizzle({ client }))
  const columns = client.prepare<[], { name: string }>('PRAGMA table_info(longhold_data_keys)').all()
  expect(columns.map(({ name }) => name).join(', ')).toBe(
    'key_id, wrapped_key, key_context, name, state, messages, bytes, created_at, updated_at',
  )
})

test('a column of type TEXT keeps the text form, when read and when replaced', async () => {
  const client = database()
  const store = await SqliteKeyStore.open(drizzle({ client }))
  await store.insertWriting(newKey(1), undefined)
  client
    .prepare('UPDATE longhold_data_keys SET wrapped_key = ?, name = NULL')
    .run(toBase64url(wrappedKeyOf(1)))
  expect(await store.get(filled(1, 16))).toMatchObject({ wrappedKey: wrappedKeyOf(1), name: '' })
  const [expected, replacement] = [wrappedKeyOf(1), wrappedKeyOf(1, 3)]
  const change = { keyId: filled(1, 16), expected, replacement, stopWriting: false }
  expect(await store.replaceWrappedKeys([change])).toEqual([true])
  const row = client
    .prepare('SELECT typeof(wrapped_key) AS type, wrapped_key AS text FROM longhold_data_keys')
    .get()
  expect(row).toEqual({ type: 'text', text: toBase64url(wrappedKeyOf(1, 3)) })
})

test('a row that nobody of ours wrote is refused', async () => {
  const client = database()
  const store = await SqliteKeyStore.open(drizzle({ client }))
  await store.insertWriting(newKey(1), undefined)
  client.exec(`UPDATE longhold_data_keys SET key_context = '["a"'`)
  expect(await codeOf(() => store.get(filled(1, 16)))).toBe('malformed')
  client.exec(`UPDATE longhold_data_keys SET key_context = '{"a":1}'`)
  expect(await codeOf(() => store.get(filled(1, 16)))).toBe('bad_context')
  client.exec(`UPDATE longhold_data_keys SET key_context = '{}', created_at = 'yesterday'`)
  expect(await codeOf(() => store.get(filled(1, 16)))).toBe('malformed')
})

test('what was destroyed is not in the file any more', async () => {
  const client = database()
  const store = await SqliteKeyStore.open(drizzle({ client }))
  const wrappedKey = wrappedKeyOf(1, 0xa7)
  await store.insertWriting(newKey(1, { wrappedKey }), undefined)
  expect(readFileSync(client.name).includes(wrappedKey)).toBe(true)
  await store.destroy(filled(1, 16))
  expect(readFileSync(client.name).includes(wrappedKey.subarray(20))).toBe(false)
  expect(client.pragma('secure_delete', { simple: true })).toBe(
    new Database(':memory:').pragma('secure_delete', { simple: true }),
  )
})

test('a closed database is unavailable, and an error never holds a parameter', async () => {
  const client = database()
  const store = await SqliteKeyStore.open(drizzle({ client }))
  client.exec('DROP TABLE longhold_data_keys')
  const error = await refusalOf(() => store.findWriting(owner))
  expect(error.code).toBe('unavailable')
  expect(error.message).toContain('SQLITE_ERROR')
  expect(error.message).not.toMatch(/select|users/i)
  expect(error.cause).toBeUndefined()
  client.close()
  expect(await codeOf(() => store.get(filled(1, 16)))).toBe('unavailable')
})

describe('inside a transaction of the application, on the same connection', () => {
  async function inTransaction() {
    const client = database()
    const db = drizzle({ client })
    const store = await SqliteKeyStore.open(db)
    await store.insertWriting(newKey(1), undefined)
    client.exec('BEGIN')
    return { client, store }
  }

  test('no data key is made: a rollback would take it away and leave the records under it', async () => {
    const { client, store } = await inTransaction()
    const error = await refusalOf(() => store.insertWriting(newKey(2), filled(1, 16)))
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('inside a transaction'),
    })
    client.exec('ROLLBACK')
    expect(await store.findWriting(owner)).toMatchObject({ keyId: filled(1, 16) })
    expect(await store.insertWriting(newKey(2), filled(1, 16))).toMatchObject({ inserted: true })
  })

  test('none is destroyed, rewrapped or vouched for, and the transaction goes on', async () => {
    const { client, store } = await inTransaction()
    expect(await codeOf(() => store.destroy(filled(1, 16)))).toBe('unavailable')
    expect(await codeOf(() => store.setTag(filled(1, 16), filled(3, 32)))).toBe('unavailable')
    const [expected, replacement] = [wrappedKeyOf(1), wrappedKeyOf(1, 3)]
    const change = { keyId: filled(1, 16), expected, replacement, stopWriting: false }
    expect(await codeOf(() => store.replaceWrappedKeys([change]))).toBe('unavailable')
    expect(client.inTransaction).toBe(true)
    client.exec('COMMIT')
    expect(await store.destroy(filled(1, 16))).toBe(true)
  })

  test('what was reserved of one data key is given back in it, of several beside it', async () => {
    const { client, store } = await inTransaction()
    await store.reserve(filled(1, 16), { messages: 5, bytes: 5 }, undefined)
    await store.release([{ keyId: filled(1, 16), messages: 2, bytes: 2 }])
    const two = [1, 2].map((id) => ({ keyId: filled(id, 16), messages: 1, bytes: 1 }))
    expect(await codeOf(() => store.release(two))).toBe('unavailable')
    expect(client.inTransaction).toBe(true)
    client.exec('COMMIT')
    await store.release(two)
    expect(await store.get(filled(1, 16))).toMatchObject({ messages: 2, bytes: 2 })
  })

  test('what fails in one of its own leaves none open', async () => {
    const client = database()
    const store = await SqliteKeyStore.open(drizzle({ client }))
    await store.insertWriting(newKey(1), undefined)
    expect(await codeOf(() => store.insertWriting(newKey(1), undefined))).toBe('bad_input')
    expect(client.inTransaction).toBe(false)
  })
})

test('opens a Drizzle database on a synchronous driver, and says so of anything else', async () => {
  const asynchronous = { select: () => undefined, run: () => Promise.resolve() }
  // Callers from JavaScript pass what they have at hand.
  for (const db of [undefined, database(), {}, asynchronous] as never[]) {
    expect(await refusalOf(() => SqliteKeyStore.open(db))).toMatchObject({
      code: 'bad_input',
      message: expect.stringContaining('SqliteKeyStore.open'),
    })
  }
})

test('does not open in a transaction', async () => {
  const db = drizzle({ client: database() })
  let opening: Promise<LongholdError> | undefined
  db.transaction((tx) => {
    opening = refusalOf(() => SqliteKeyStore.open(tx))
  })
  expect(await opening).toMatchObject({ code: 'bad_input', message: expect.stringContaining('transaction') })
})
