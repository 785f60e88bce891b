import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

import { openPool } from '../../src/store/postgres/connection.ts'
import { migrateDatabase as migratePostgres } from '../../src/store/postgres/migrate.ts'
import { PostgresStore } from '../../src/store/postgres/store.ts'
import { migrationsOf, readMigrations } from '../../src/store/sql/migrations.ts'
import { openConnection } from '../../src/store/sqlite/connection.ts'
import { migrateDatabase } from '../../src/store/sqlite/migrate.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { describePostgres } from '../support/postgres.ts'
import { contentsOf, newKey, TestWriter } from '../support/rows.ts'

/** The migrations of a release to come: those of this one, and these statements. */
function releaseToCome(database: 'sqlite' | 'postgres', ...statements: string[]) {
  const folder = join(temporaryDirectory(), database)
  cpSync(join(import.meta.dirname, '../../migrations', database), folder, { recursive: true })
  const next = join(folder, '20990101000000_to_come')
  mkdirSync(next)
  writeFileSync(join(next, 'migration.sql'), statements.join('\n--> statement-breakpoint\n'))
  return readMigrations(folder)
}

const schema = migrationsOf('sqlite').length
const refused = {
  code: 'newer_database',
  message: expect.stringMatching(
    new RegExp(`has schema ${schema + 1} \\(20990101000000_to_come\\).* schemas up to ${schema}$`, 'u'),
  ) as string,
  hint: expect.stringContaining('restore a backup from before the upgrade') as string,
}

describe('a SQLite database of this release', () => {
  async function filled() {
    const path = join(temporaryDirectory(), 'kms.db')
    const store = SqliteStore.open({ path })
    await new TestWriter(store).write(newKey('a'))
    const before = await contentsOf(store)
    await store.close()
    const migrate = (...statements: string[]) => {
      const connection = openConnection(path, { readonly: false, busyTimeoutMs: 1000 })
      try {
        return migrateDatabase(connection, path, releaseToCome('sqlite', ...statements))
      } finally {
        connection.client.close()
      }
    }
    const open = () => {
      const opened = SqliteStore.open({ path })
      onTestFinished(() => opened.close())
      return opened
    }
    return { path, before, migrate, open }
  }

  test('is upgraded by the next with all that is in it, and refused by this one from then on', async () => {
    const { path, before, migrate, open } = await filled()
    const statements = ['create table to_come (id integer)', 'insert into to_come values (1)']
    expect(migrate(...statements)).toEqual({ from: schema, to: schema + 1 })
    expect(migrate(...statements)).toBeUndefined()
    expect(open).toThrow(expect.objectContaining(refused))

    const { client } = openConnection(path, { readonly: false, busyTimeoutMs: 1000 })
    client.exec(`delete from longhold_kms_migrations where version > ${schema}`)
    client.close()
    expect(await contentsOf(open())).toEqual(before)
  })

  test('stays what it was when that fails half-way', async () => {
    const { before, migrate, open } = await filled()
    expect(() => migrate('create table to_come (id integer)', 'insert into nowhere values (1)')).toThrow(
      expect.objectContaining({ code: 'storage_unavailable' }),
    )
    expect(await contentsOf(open())).toEqual(before)
    expect(() => migrate('create table to_come (id integer)')).not.toThrow()
  })
})

await describePostgres('a PostgreSQL database of this release', (makeDatabase) => {
  test('is upgraded by the next in one transaction, and refused by this one from then on', async () => {
    const { url } = await makeDatabase()
    const store = await PostgresStore.open({ url })
    onTestFinished(() => store.close())
    await new TestWriter(store).write(newKey('a'))
    const before = await contentsOf(store)
    const { pool, db } = openPool(url, 1)
    onTestFinished(() => pool.end())
    const create = 'create table to_come (id integer)'
    await expect(
      migratePostgres(db, releaseToCome('postgres', create, 'insert into nowhere values (1)')),
    ).rejects.toMatchObject({ code: 'storage_unavailable' })
    const upgrade = releaseToCome('postgres', create, 'insert into to_come values (1)')
    expect(await migratePostgres(db, upgrade)).toEqual({ from: schema, to: schema + 1 })
    expect(await contentsOf(store)).toEqual(before)
    await expect(PostgresStore.open({ url })).rejects.toMatchObject(refused)
  })
})
