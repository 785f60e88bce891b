import {
  DataKey,
  parseIdentity,
  parseRecipient,
  toHex,
  toText,
  unwrapDataKey,
  wrapDataKey,
} from '@longhold/core'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import { Workspace } from '../support/cli.ts'

const createTable = `create table longhold_data_keys (
  key_id blob primary key, wrapped_key blob not null, key_context text not null, name text, state text not null,
  messages integer not null, bytes integer not null, created_at text not null, updated_at text not null)`

/** `app.db` with wrapped keys for old.txt, and a table of records that nobody may touch. */
async function withDatabase(keys = 250, form: 'blob' | 'text' = 'blob') {
  const space = new Workspace()
  for (const name of ['old', 'new']) {
    space.write(`${name}.pub`, (await space.ok(['keygen', '-o', `${name}.txt`])).stdout)
  }
  const recipients = [parseRecipient(space.read('old.pub').trim())]
  using db = openDatabase(space)
  db.exec(createTable)
  db.exec('create table users (id integer primary key, email blob)')
  const insert = db.prepare(
    `insert into longhold_data_keys values (?, ?, ?, null, 'writing', 0, 0, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')`,
  )
  const dataKeys = Array.from({ length: keys }, () => DataKey.generate())
  const wrapped = await Promise.all(
    dataKeys.map((dataKey, index) =>
      wrapDataKey(dataKey, { recipients, keyContext: { dataset: `d${index % 3}` } }),
    ),
  )
  db.transaction(() => {
    dataKeys.forEach((dataKey, index) => {
      const bytes = wrapped[index] ?? new Uint8Array()
      const row = form === 'blob' ? [dataKey.keyId, bytes] : [toHex(dataKey.keyId), toText(bytes)]
      insert.run(...row, JSON.stringify({ dataset: `d${index % 3}` }))
    })
  })()
  db.prepare('insert into users values (1, ?)').run(Buffer.from('a record'))
  return space
}

function openDatabase(space: Workspace, options?: Database.Options) {
  const db = new Database(space.file('app.db'), options)
  return Object.assign(db, { [Symbol.dispose]: () => void db.close() })
}

interface KeyRow {
  key_id: Buffer
  wrapped_key: Buffer
  key_context: string
  state: string
  updated_at: string
}

function rows(space: Workspace): KeyRow[] {
  using db = openDatabase(space, { readonly: true })
  return db.prepare<[], KeyRow>('select * from longhold_data_keys order by key_id').all()
}

async function opens(space: Workspace, file: string, row: KeyRow): Promise<boolean> {
  const identities = [parseIdentity(space.read(file).split('\n')[2] ?? '')]
  return await unwrapDataKey(Uint8Array.from(row.wrapped_key), {
    identities,
    keyContext: JSON.parse(row.key_context),
  }).then(
    () => true,
    () => false,
  )
}

const rewrap = ['rewrap', '--sqlite', 'app.db', '-i', 'old.txt', '-R', 'new.pub', '--busy-timeout', '0']

describe('longhold rewrap --sqlite', () => {
  test('rewraps every row, touches no record, and finds nothing to do the second time', async () => {
    using space = await withDatabase()
    const before = rows(space)
    const result = await space.ok(rewrap)
    expect(result.stdout).toBe('rewrapped  250\nunchanged  0\nfailed     0\n')
    const after = rows(space)
    expect(after.map(({ key_id }) => key_id)).toEqual(before.map(({ key_id }) => key_id))
    for (const row of [after[0], after[100], after[249]]) {
      if (row === undefined) throw new Error('a row is missing')
      expect(await opens(space, 'new.txt', row)).toBe(true)
      expect(await opens(space, 'old.txt', row)).toBe(false)
      expect(row.updated_at > '2026-01-01T00:00:00.000Z').toBe(true)
    }
    const again = await space.ok([...rewrap, '--json'])
    expect(JSON.parse(again.stdout)).toEqual({ database: 'app.db', rewrapped: 0, unchanged: 250, failed: [] })
    expect(rows(space)).toEqual(after)
    using db = openDatabase(space, { readonly: true })
    expect(db.prepare('select * from users').all()).toEqual([{ id: 1, email: Buffer.from('a record') }])
  })

  test('a data key that somebody loses is not written under any more, as the library has it', async () => {
    using space = await withDatabase(4)
    {
      using db = openDatabase(space)
      const ids = db.prepare<[], { key_id: Buffer }>('select key_id from longhold_data_keys').all()
      const set = db.prepare('update longhold_data_keys set name = ?, state = ? where key_id = ?')
      set.run('users', 'writing', ids[0]?.key_id)
      set.run(null, 'writing', ids[1]?.key_id)
      set.run('blind-index:users', 'writing', ids[2]?.key_id)
      set.run('users', 'retired', ids[3]?.key_id)
    }
    const states = () => rows(space).map(({ state }) => state)
    // One more recipient takes nothing from anybody.
    const both = ['-R', 'new.pub', '-R', 'old.pub']
    await space.ok(['rewrap', '--sqlite', 'app.db', '-i', 'old.txt', ...both])
    expect(states()).toEqual(['writing', 'writing', 'writing', 'retired'])
    await space.ok(rewrap)
    expect(states()).toEqual(['reading', 'reading', 'writing', 'retired'])
  })

  test('columns of type TEXT keep the text form', async () => {
    using space = await withDatabase(3, 'text')
    await space.ok(rewrap)
    using db = openDatabase(space, { readonly: true })
    const values = db.prepare<[], { wrapped_key: string }>('select wrapped_key from longhold_data_keys').all()
    expect(values.map(({ wrapped_key }) => wrapped_key.slice(0, 5))).toEqual(['TEhLA', 'TEhLA', 'TEhLA'])
  })

  test('what was done before an interruption is not done again', async () => {
    using space = await withDatabase(10)
    await space.ok(rewrap)
    using db = openDatabase(space)
    const [first] = rows(space)
    using dataKey = DataKey.generate()
    const recipients = [parseRecipient(space.read('old.pub').trim())]
    const wrappedKey = await wrapDataKey(dataKey, { recipients, keyContext: { dataset: 'late' } })
    db.prepare(
      `insert into longhold_data_keys values (?, ?, '{"dataset":"late"}', null, 'writing', 0, 0, '2026', '2026')`,
    ).run(dataKey.keyId, wrappedKey)
    const { stdout } = await space.ok([...rewrap, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ rewrapped: 1, unchanged: 10 })
    expect(rows(space).find(({ key_id }) => first?.key_id.equals(key_id))).toEqual(first)
  })

  test('rows that cannot be rewrapped stay as they are and are named', async () => {
    using space = await withDatabase(5)
    {
      using db = openDatabase(space)
      const ids = db.prepare<[], { key_id: Buffer }>('select key_id from longhold_data_keys').all()
      const update = (column: string, value: unknown, row: number) =>
        db
          .prepare(`update longhold_data_keys set ${column} = ? where key_id = ?`)
          .run(value, ids[row]?.key_id)
      update('key_context', '{"dataset":"another"}', 0)
      update('key_context', 'not JSON', 1)
      update('wrapped_key', Buffer.from('nonsense'), 2)
    }
    const before = rows(space)
    const result = await space.cli([...rewrap, '--json'])
    expect(result.code).toBe(1)
    const told = JSON.parse(result.stdout)
    expect(told).toMatchObject({ rewrapped: 2, unchanged: 0 })
    expect(told.failed.map(({ code }: { code: string }) => code).toSorted()).toEqual([
      'bad_context',
      'cannot_open',
      'malformed',
    ])
    const failed = new Set(told.failed.map(({ key_id }: { key_id: string }) => key_id))
    const after = rows(space)
    for (const [index, row] of before.entries()) {
      expect(after[index]?.wrapped_key.equals(row.wrapped_key)).toBe(failed.has(row.key_id.toString('hex')))
    }
    const text = await space.cli(rewrap)
    expect(text.stderr).toMatch(/warning: data key [0-9a-f]{32}: /u)
    expect(text.stderr).toContain(
      'error: 3 wrapped keys of app.db could not be rewrapped; they are as they were',
    )
  })

  test('two at once share the rows, and neither overwrites what the other wrote', async () => {
    using space = await withDatabase()
    const both = await Promise.all([space.ok([...rewrap, '--json']), space.ok([...rewrap, '--json'])])
    const told = both.map(({ stdout }) => JSON.parse(stdout))
    expect(told).toMatchObject([{ failed: [] }, { failed: [] }])
    expect(told[0].rewrapped + told[1].rewrapped).toBe(250)
    for (const { rewrapped, unchanged } of told) expect(rewrapped + unchanged).toBe(250)
    const opened = await Promise.all(rows(space).map((row) => opens(space, 'new.txt', row)))
    expect(opened.filter(Boolean)).toHaveLength(250)
  })

  test('a row that somebody else changes meanwhile is not overwritten', async () => {
    using space = await withDatabase(3)
    // What another process may do at the worst moment: the trigger plays it, inside our own update.
    {
      using db = openDatabase(space)
      db.exec(`create table changed (key_id blob)`)
      db.exec(`create trigger meanwhile before update on longhold_data_keys
        when (select count(*) from changed) = 0
        begin
          insert into changed values (new.key_id);
          select raise(ignore);
        end`)
    }
    // The trigger makes one update change nothing, as the comparison does; the next pass finds the row again.
    const { stdout } = await space.ok([...rewrap, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ rewrapped: 3, unchanged: 0, failed: [] })
  })

  test('a database that is locked, missing, foreign or without the table', async () => {
    using space = await withDatabase(1)
    const call = async (file: string) => {
      const { code, stderr } = await space.cli(rewrap.with(2, file))
      return `${code} ${stderr}`
    }
    expect(await call('missing.db')).toContain('2 longhold: error: cannot read missing.db: no such file')
    expect(space.list()).not.toContain('missing.db')
    space.write(
      'text.db',
      'this is not a database, but it is long enough to be looked at as if it were one\n'.repeat(20),
    )
    expect(await call('text.db')).toContain('2 longhold: error: text.db is not an SQLite database')
    space.write('empty.db', '')
    expect(await call('empty.db')).toContain('2 longhold: error: empty.db has no table longhold_data_keys')
    expect(await call('.')).toMatch(/^2 longhold: error: \. cannot be opened/u)
  })

  test('a table of another shape, and a database that another process holds locked', async () => {
    using space = await withDatabase(1)
    using db = openDatabase(space)
    db.exec('begin exclusive')
    const locked = await space.cli(rewrap)
    expect(locked.code).toBe(4)
    expect(locked.stderr).toContain('app.db is locked by another process\nlonghold: hint: ')
    db.exec('rollback')
    db.exec('alter table longhold_data_keys rename column wrapped_key to wrapped')
    const other = await space.cli(rewrap)
    expect(other.code).toBe(2)
    expect(other.stderr).toContain('the table longhold_data_keys has no column wrapped_key')
  })

  test('an interruption stops between batches', async () => {
    using space = await withDatabase(1)
    const result = await space.cli(rewrap, { signal: AbortSignal.abort() })
    expect(result.code).toBe(4)
    expect(result.stderr).toContain('hint: run the same command again to go on')
  })
})
