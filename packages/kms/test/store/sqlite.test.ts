import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { openConnection } from '../../src/store/sqlite/connection.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { keyStoreContract } from '../contracts/key-store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { contentsOf, newKey, TestWriter, versionRow } from '../support/rows.ts'

keyStoreContract('SQLite', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'longhold-kms-'))
  const store = SqliteStore.open({ path: join(directory, 'kms.db') })
  return {
    store,
    async close() {
      await store.close()
      rmSync(directory, { recursive: true })
    },
  }
})

function openStore(path: string, busyTimeoutMs = 50): SqliteStore {
  const store = SqliteStore.open({ path, busyTimeoutMs })
  onTestFinished(() => store.close())
  return store
}

describe('the file', () => {
  test('and its side files are for their owner only', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = openStore(path)
    await new TestWriter(store).write()
    for (const file of [path, `${path}-wal`, `${path}-shm`, `${path}.lock`]) {
      expect(statSync(file).mode & 0o077, file).toBe(0)
    }
  })

  test('keeps what was written when it is closed and opened again', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const first = SqliteStore.open({ path })
    await new TestWriter(first).write(newKey('a'))
    const before = await contentsOf(first)
    await first.close()
    expect(await contentsOf(openStore(path))).toEqual(before)
  })

  test('is not shared by two services', () => {
    const path = join(temporaryDirectory(), 'kms.db')
    openStore(path)
    expect(() => SqliteStore.open({ path })).toThrow(expect.objectContaining({ code: 'database_in_use' }))
  })

  test('of another program is refused and left alone', () => {
    const path = join(temporaryDirectory(), 'theirs.db')
    const theirs = new Database(path)
    theirs.exec('create table invoices (id integer)')
    theirs.close()
    expect(() => SqliteStore.open({ path })).toThrow(expect.objectContaining({ code: 'bad_config' }))
    const after = new Database(path)
    expect(after.prepare('select name from sqlite_schema').pluck().all()).toEqual(['invoices'])
    after.close()
  })

  test('that is no database is refused', () => {
    const path = join(temporaryDirectory(), 'kms.db')
    writeFileSync(path, 'A'.repeat(4096))
    expect(() => SqliteStore.open({ path })).toThrow(
      expect.objectContaining({
        code: 'storage_unavailable',
        message: expect.stringContaining('SQLITE_NOTADB'),
      }),
    )
  })

  test('of a newer release is refused', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    await SqliteStore.open({ path }).close()
    const newer = new Database(path)
    newer
      .prepare('insert into longhold_kms_migrations values (?, ?, ?)')
      .run(99, '20990101000000_from_the_future', '7.2.0')
    newer.close()
    expect(() => SqliteStore.open({ path })).toThrow(
      expect.objectContaining({
        code: 'newer_database',
        message: expect.stringMatching(
          /kms\.db has schema 99 \(20990101000000_from_the_future\), made by release 7\.2\.0; this is release \d/u,
        ),
        hint: expect.stringContaining('start release 7.2.0 or a newer one'),
      }),
    )
  })

  test('in a directory that is not there is refused by name', () => {
    const path = join(temporaryDirectory(), 'no', 'kms.db')
    expect(() => SqliteStore.open({ path })).toThrow(
      expect.objectContaining({ code: 'storage_unavailable', message: expect.stringContaining(path) }),
    )
  })
})

describe('the database itself', () => {
  test('refuses a second primary', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = openStore(path)
    await new TestWriter(store).write(newKey('a'))
    const outside = new Database(path)
    onTestFinished(() => void outside.close())
    const second = versionRow('a', 2)
    const insert = outside.prepare(
      `insert into versions (key, version, state, kem_id, public_key, recipient_id, root_version, sealed_seed,
       created_at, state_changed_at, generation, mac) values ('a', 2, 'primary', 1, ?, ?, 1, ?, 1, 1, 1, x'00')`,
    )
    expect(() => insert.run(second.publicKey, second.recipientId, second.sealedSeed)).toThrow(/UNIQUE/u)
  })

  test('syncs every commit and overwrites what is deleted', () => {
    const path = join(temporaryDirectory(), 'kms.db')
    openStore(path)
    // How the writer opens it.
    const { client } = openConnection(path, { readonly: false, busyTimeoutMs: 50 })
    onTestFinished(() => void client.close())
    const pragma = (name: string) => client.pragma(name, { simple: true })
    expect([pragma('journal_mode'), pragma('synchronous'), pragma('secure_delete')]).toEqual(['wal', 2, 1])
  })
})

describe('when the database cannot be written', () => {
  test('because another program holds a lock: storage_unavailable, nothing written, and then it works', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = openStore(path)
    const other = new Database(path)
    other.exec('begin immediate')
    const writer = new TestWriter(store)
    const failure = await writer.write(newKey('a')).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'storage_unavailable',
      message: expect.stringContaining('SQLITE_BUSY'),
    })
    other.exec('rollback')
    other.close()
    expect(await store.row('keys', { key: 'a' })).toBeUndefined()
    expect(await writer.write(newKey('a'))).toBe('done')
  })

  test('because a trigger fails with a text of its own: the text stays inside', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = openStore(path)
    const other = new Database(path)
    other.exec(
      `create trigger refuse before insert on keys begin select raise(abort, 'CANARY ' || new.key); end`,
    )
    other.close()
    const failure: unknown = await new TestWriter(store)
      .write(newKey('canary-key'))
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'storage_unavailable' })
    const everything = `${String(failure)} ${JSON.stringify(failure)} ${(failure as Error).stack ?? ''}`
    expect(everything).not.toMatch(/CANARY|canary-key|insert into/iu)
    expect((failure as Error).cause).toBeUndefined()
  })

  test('because a trigger swallows entries of the log: nothing is done', async () => {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = openStore(path)
    const other = new Database(path)
    other.exec('create trigger swallow before insert on audit_entries begin select raise(ignore); end')
    other.close()
    expect(await new TestWriter(store).write(newKey('a'))).toBe('chain_moved')
    expect(await store.row('keys', { key: 'a' })).toBeUndefined()
  })

  test('after it was closed', async () => {
    const store = SqliteStore.open({ path: join(temporaryDirectory(), 'kms.db') })
    await store.close()
    await expect(new TestWriter(store).write()).rejects.toMatchObject({ code: 'storage_unavailable' })
    await expect(store.row('keys', { key: 'a' })).rejects.toMatchObject({ code: 'storage_unavailable' })
  })
})
