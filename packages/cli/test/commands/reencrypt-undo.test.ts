import { existsSync, writeFileSync } from 'node:fs'

import Database from 'better-sqlite3'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import type { TestPostgres } from '../../../../test/postgres.ts'
import { Workspace } from '../support/cli.ts'
import { makeJwe, oldPem, otherKey, otherPem } from '../support/legacy-values.ts'
import { jweOf } from '../support/migration.ts'

/** A table that is worked on, in either database. */
interface Table {
  readonly flags: readonly string[]
  values(): Promise<unknown[]>
  set(id: number, value: string | null): Promise<void>
  /** Tables of the database whose name begins so, with how many rows. */
  rowsOf(name: string): Promise<number>
}

interface Place {
  make(space: Workspace, values: readonly string[]): Promise<Table>
}

const sqlite: Place = {
  async make(space, values) {
    const path = space.file('app.db')
    const database = new Database(path)
    database.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)')
    values.forEach((value, index) =>
      database.prepare('INSERT INTO notes VALUES (?, ?)').run(index + 1, value),
    )
    return {
      flags: ['app.db', '--table', 'notes', '--column', 'body'],
      values: async () => database.prepare('SELECT body FROM notes ORDER BY id').pluck().all(),
      set: async (id, value) =>
        void database.prepare('UPDATE notes SET body = ? WHERE id = ?').run(value, id),
      rowsOf: async (name) => Number(database.prepare(`SELECT count(*) FROM ${name}`).pluck().get()),
    }
  },
}

const server = await startPostgres()
const client = 'missing' in server ? undefined : new Client({ connectionString: server.url })
const postgres: Place = {
  async make(_space, values) {
    if (client === undefined || 'missing' in server) throw new Error('no server')
    await client.query(
      'DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE notes (id int PRIMARY KEY, body text)',
    )
    for (const [index, value] of values.entries()) {
      await client.query('INSERT INTO notes VALUES ($1, $2)', [index + 1, value])
    }
    const column = async (sql: string): Promise<unknown[]> =>
      (await client.query<{ value: unknown }>(sql)).rows.map(({ value }) => value)
    return {
      flags: [server.url, '--table', 'notes', '--column', 'body'],
      values: () => column('SELECT body AS value FROM notes ORDER BY id'),
      set: async (id, value) =>
        void (await client.query('UPDATE notes SET body = $1 WHERE id = $2', [value, id])),
      rowsOf: async (name) => Number((await column(`SELECT count(*) AS value FROM ${name}`))[0]),
    }
  },
}

async function keys(space: Workspace): Promise<string[]> {
  space.write('old.pem', oldPem)
  await space.cli(['keygen', '--output', 'identity.txt'])
  space.write('recipients.txt', /lhrecipient1-\S+/u.exec(space.read('identity.txt'))?.[0] ?? '')
  return [
    '--private-key',
    'old.pem',
    '--identity',
    'identity.txt',
    '--recipients-file',
    'recipients.txt',
    '--execute',
  ]
}

describe.each([
  ['SQLite', sqlite, false],
  ['PostgreSQL', postgres, client === undefined],
] as const)('a table of %s', (_, place, isMissing) => {
  beforeAll(async () => {
    if (place === postgres) await client?.connect()
  })
  afterAll(async () => {
    if (place !== postgres || client === undefined) return
    await client.end()
    await (server as TestPostgres)[Symbol.asyncDispose]()
  })

  test.skipIf(isMissing)(
    'rollback puts back what still is a record of the run, and leaves the rest',
    async () => {
      using space = new Workspace()
      const before = await Promise.all([1, 2, 3, 4].map(jweOf))
      const table = await place.make(space, before)
      const flags = await keys(space)
      const run = ['reencrypt', 'run', ...table.flags, ...flags]
      expect(await space.cli(run)).toMatchObject({ code: 0 })
      expect((await table.values()).every((value) => String(value).startsWith('TEhS'))).toBe(true)
      // Meanwhile the application wrote an old value again, which another run took, a value of its own, and NULL.
      const newer = await jweOf(21)
      await table.set(1, newer)
      expect(await space.cli(run)).toMatchObject({ code: 0 })
      await table.set(2, 'the application')
      await table.set(3, null)

      const rollback = ['reencrypt', 'rollback', ...table.flags]
      expect(await space.cli(rollback)).toMatchObject({ code: 2 }) // without --execute
      const answer = await space.cli([...rollback, '--execute', '--json'])
      expect(answer.stderr).toBe('')
      expect(JSON.parse(answer.stdout)).toMatchObject({ restored: 2, changed: 3, kept: [] })
      expect(await table.values()).toEqual([newer, 'the application', null, before[3]])
      expect(await table.rowsOf('longhold_run_originals')).toBe(0)

      const again = await space.cli([...rollback, '--execute'])
      expect(again).toMatchObject({ code: 1 })
      expect(again.stderr).toMatch(/nothing can be rolled back/)
      // A run begins anew.
      await table.set(2, await jweOf(2))
      expect(await space.cli(run)).toMatchObject({ code: 0 })
      const status = await space.cli(['reencrypt', 'status', ...table.flags, '--json'])
      expect(JSON.parse(status.stdout)).toMatchObject({ status: 'finished', migrated: 3 })
    },
  )

  test.skipIf(isMissing)(
    'finalize refuses while an old value is left, and removes the originals',
    async () => {
      using space = new Workspace()
      const table = await place.make(space, await Promise.all([1, 2, 3].map(jweOf)))
      const flags = await keys(space)
      const finalize = ['reencrypt', 'finalize', ...table.flags]
      expect((await space.cli([...finalize, '--execute'])).stderr).toMatch(/nothing is to be finalised/)
      await space.cli(['reencrypt', 'run', ...table.flags, ...flags])
      expect(await table.rowsOf('longhold_run_originals')).toBe(3)
      expect(await space.cli(finalize)).toMatchObject({ code: 2 })

      await table.set(2, await jweOf(2)) // a writer that does not know yet
      const refused = await space.cli([...finalize, '--execute'])
      expect(refused.code).toBe(1)
      expect(refused.stderr).toMatch(/1 value of .* not in longhold's form: 1 of format jwe/)
      expect(await table.rowsOf('longhold_run_originals')).toBe(3)

      await space.cli(['reencrypt', 'run', ...table.flags, ...flags])
      const done = await space.cli([...finalize, '--execute', '--json'])
      expect(JSON.parse(done.stdout)).toMatchObject({ records: 3, remaining: 0 })
      expect(await table.rowsOf('longhold_run_originals')).toBe(0)
      const rollback = await space.cli(['reencrypt', 'rollback', ...table.flags, '--execute'])
      expect(rollback.stderr).toMatch(/every run on it was finalised/)
    },
  )

  test.skipIf(isMissing)('finalize --leave-remaining is for values that nobody can open', async () => {
    using space = new Workspace()
    const table = await place.make(space, [await jweOf(1), 'hello'])
    await space.cli(['reencrypt', 'run', ...table.flags, ...(await keys(space))])
    const finalize = ['reencrypt', 'finalize', ...table.flags, '--execute']
    expect((await space.cli(finalize)).stderr).toMatch(/1 of no named format, say 2/)
    expect(await space.cli([...finalize, '--leave-remaining'])).toMatchObject({ code: 0 })
  })

  test.skipIf(isMissing)('without originals there is no rollback, and it says so', async () => {
    using space = new Workspace()
    const table = await place.make(space, [await jweOf(1)])
    await space.cli(['reencrypt', 'run', ...table.flags, ...(await keys(space)), '--no-originals'])
    expect(await table.rowsOf('longhold_run_originals')).toBe(0)
    const rollback = await space.cli(['reencrypt', 'rollback', ...table.flags, '--execute'])
    expect(rollback).toMatchObject({ code: 1 })
    expect(rollback.stderr).toMatch(/kept no originals/)
  })

  test.skipIf(isMissing)('retry tries the dead letters, and nothing else', async () => {
    using space = new Workspace()
    const foreign = await makeJwe('late', { key: otherKey })
    const table = await place.make(space, [await jweOf(1), foreign, 'hello'])
    const flags = await keys(space)
    await space.cli(['reencrypt', 'run', ...table.flags, ...flags, '--dead-letters', 'dead.ndjson'])
    await table.set(1, await jweOf(1)) // an old value that no dead letter names
    space.write('other.pem', otherPem)
    const retry = ['reencrypt', 'retry', ...table.flags, ...flags, '--private-key', 'other.pem', '--json']
    const answer = await space.cli([...retry, '--from', 'dead.ndjson'])
    expect(JSON.parse(answer.stdout)).toMatchObject({ found: 2, migrated: 1, dead: 1 })
    expect((await table.values()).map((value) => String(value).startsWith('TEhS'))).toEqual([
      false,
      true,
      false,
    ])
    // From the journal: what is left of them.
    expect(JSON.parse((await space.cli(retry)).stdout)).toMatchObject({ found: 1, dead: 1 })
    space.write('bad.ndjson', '{"locator":"1"}\n')
    expect(await space.cli([...retry, '--from', 'bad.ndjson'])).toMatchObject({ code: 2 })
    space.write('of-others.ndjson', '{"table":"x","column":"y","locator":"1"}\n')
    expect((await space.cli([...retry, '--from', 'of-others.ndjson'])).stderr).toMatch(/is of table x/)
  })

  test.skipIf(isMissing)('a query that is above its bound pauses, until it is not', async () => {
    using space = new Workspace()
    const table = await place.make(space, [await jweOf(1), await jweOf(2)])
    const query = `SELECT count(*) FROM notes WHERE body LIKE 'eyJ%'`
    const flags = [...(await keys(space)), '--pause-query', query, '--pause-above', '2']
    expect(await space.cli(['reencrypt', 'run', ...table.flags, ...flags])).toMatchObject({ code: 0 })
    await table.set(1, await jweOf(1))
    const bad = [
      'reencrypt',
      'run',
      ...table.flags,
      ...(await keys(space)),
      '--pause-query',
      'DELETE FROM notes',
    ]
    expect((await space.cli(bad)).code).not.toBe(0)
    expect(await table.rowsOf('notes')).toBe(2)
  })
})

describe('a file of NDJSON', () => {
  async function migrated(space: Workspace): Promise<string[]> {
    const lines = await Promise.all([1, 2].map(async (id) => JSON.stringify({ id, body: await jweOf(id) })))
    space.write('rows.ndjson', `${lines.join('\n')}\n`)
    const target = ['rows.ndjson', '--id', 'id', '--column', 'body']
    expect(await space.cli(['reencrypt', 'run', ...target, ...(await keys(space))])).toMatchObject({
      code: 0,
    })
    return target
  }

  test('rollback removes the new file', async () => {
    using space = new Workspace()
    const target = await migrated(space)
    const before = space.read('rows.ndjson')
    const answer = await space.cli(['reencrypt', 'rollback', ...target, '--execute'])
    expect(answer.stdout).toMatch(/put back +2/)
    expect(space.list()).not.toContain('rows.ndjson.longhold')
    expect(space.read('rows.ndjson')).toBe(before)
  })

  test('finalize gives the new file the old one’s name, and its records open there', async () => {
    using space = new Workspace()
    const target = await migrated(space)
    const after = space.read('rows.ndjson.longhold')
    expect(await space.cli(['reencrypt', 'finalize', ...target, '--execute'])).toMatchObject({ code: 0 })
    expect(space.read('rows.ndjson')).toBe(after)
    expect(existsSync(space.file('rows.ndjson.longhold'))).toBe(false)
    const verify = await space.cli(['reencrypt', 'verify', ...target, '--identity', 'identity.txt'])
    expect(verify.stdout).toMatch(/opened +2 under 1 data key/)
  })

  test('finalize refuses when the old file was written to since', async () => {
    using space = new Workspace()
    const target = await migrated(space)
    writeFileSync(space.file('rows.ndjson'), `${space.read('rows.ndjson')}{"id":3,"body":"x"}\n`)
    const answer = await space.cli(['reencrypt', 'finalize', ...target, '--execute'])
    expect(answer.code).toBe(2)
    expect(answer.stderr).toMatch(/changed after/)
    expect(space.read('rows.ndjson')).toMatch(/"id":3/)
  })
})
