import { fork } from 'node:child_process'

import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import { jwe } from '../../src/formats/jwe.ts'
import { openSqliteTable, readSqliteTable } from '../../src/sources/sqlite-table.ts'
import type { SqliteTableOptions } from '../../src/sources/sqlite-table.ts'
import { Directory, jweOf, migrateTable, plaintextOf, RecordReader } from '../support/migration.ts'

const limits = { maxRows: 3, maxBytes: 1e9 }

function options(path: string, more: Partial<SqliteTableOptions> = {}): SqliteTableOptions {
  const columns = { own: ['v'], read: [] }
  return { path, shown: 't.db', table: 't', columns, busyTimeoutMs: 0, ...more }
}

/** All ids in the order the pages give them. */
function ids(path: string): string[] {
  const reader = readSqliteTable(options(path))
  const found: string[] = []
  let after: string | undefined
  for (;;) {
    const page = reader.read(after, limits)
    after = page.position
    found.push(...page.rows.map(({ id, problem }) => problem ?? id))
    if (page.isLast) break
  }
  reader.close()
  return found
}

function withTable(directory: Directory, sql: string, rows: readonly unknown[][] = []): string {
  const path = directory.file('t.db')
  const database = new Database(path)
  database.exec(sql)
  for (const row of rows) {
    database.prepare(`INSERT INTO t VALUES (${row.map(() => '?').join(', ')})`).run(...row)
  }
  database.close()
  return path
}

describe('keys of every kind', () => {
  const blob = (text: string) => Buffer.from(text, 'latin1')
  const kinds: readonly [name: string, key: string, keys: readonly unknown[][], ids: readonly string[]][] = [
    [
      'integers, beyond 2^53 and negative',
      '(k INTEGER PRIMARY KEY, v TEXT)',
      [[-(2n ** 63n)], [-1n], [0n], [7n], [2n ** 53n + 1n], [2n ** 63n - 1n]],
      ['-9223372036854775808', '-1', '0', '7', '9007199254740993', '9223372036854775807'],
    ],
    ['text', '(k TEXT PRIMARY KEY, v TEXT)', [['b'], ['a'], ['Ä'], ['']], ['b', 'a', 'Ä', '']],
    [
      'text without rowid',
      '(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID',
      [['b'], ['a'], ['B'], ['Ä'], ['']],
      ['', 'B', 'a', 'b', 'Ä'],
    ],
    [
      'text without rowid, whatever the case',
      '(k TEXT COLLATE NOCASE PRIMARY KEY, v TEXT) WITHOUT ROWID',
      [['b'], ['a'], ['C'], ['D']],
      ['a', 'b', 'C', 'D'],
    ],
    [
      'bytes',
      '(k BLOB PRIMARY KEY, v TEXT) WITHOUT ROWID',
      [[blob('\xff')], [blob('\x00')], [blob('')], [blob('ab')]],
      ['', '00', '6162', 'ff'],
    ],
    [
      'several columns',
      '(a TEXT, b INTEGER, v TEXT, PRIMARY KEY (b, a))',
      [
        ['x', 2n],
        ['y', 1n],
        ['x', 1n],
        ['"', 3n],
      ],
      ['["2","x"]', '["1","y"]', '["1","x"]', '["3","\\""]'],
    ],
    [
      'several columns without rowid, one of them descending',
      '(a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b DESC)) WITHOUT ROWID',
      [
        ['x', 1n],
        ['x', 2n],
        ['w', 9n],
        ['y', 0n],
      ],
      ['["w","9"]', '["x","1"]', '["x","2"]', '["y","0"]'],
    ],
    [
      'a column called rowid',
      '(rowid TEXT, k INTEGER, v TEXT, PRIMARY KEY (k))',
      [
        ['z', 5n],
        ['y', 6n],
        ['x', 4n],
        ['w', 9n],
      ],
      ['4', '5', '6', '9'],
    ],
    [
      'no name left for the rowid',
      '(rowid TEXT, oid TEXT, _rowid_ TEXT, k TEXT, v TEXT, PRIMARY KEY (k))',
      [
        ['', '', '', 'b'],
        ['', '', '', 'a'],
        ['', '', '', 'd'],
        ['', '', '', 'c'],
      ],
      ['a', 'b', 'c', 'd'],
    ],
  ]

  test.each(kinds)('%s', async (_, columns, keys, expected) => {
    const values = await Promise.all(keys.map((__, index) => jweOf(index)))
    using directory = new Directory()
    const path = withTable(
      directory,
      `CREATE TABLE t ${columns}`,
      keys.map((key, index) => [...key, values[index]]),
    )
    expect(ids(path)).toEqual(expected)
    const state = await migrateTable(options(path))
    expect(state.counts).toMatchObject({ found: keys.length, earlier: keys.length, dead: 0 })
    const database = new Database(path)
    const reader = await RecordReader.open(database)
    const opened = database
      .prepare<[], string>('SELECT v FROM t')
      .pluck()
      .all()
      .flatMap((value) =>
        expected.map((id) => {
          try {
            return reader.read(value, { table: 't', column: 'v', id })
          } catch {
            return undefined
          }
        }),
      )
      .filter((plaintext) => plaintext !== undefined)
    expect(opened.toSorted()).toEqual(keys.map((__, index) => plaintextOf(index)).toSorted())
    database.close()
  })

  test('keys that have no form are told, and everything around them is read', async () => {
    using directory = new Directory()
    const path = withTable(
      directory,
      `CREATE TABLE t (k PRIMARY KEY, v TEXT);
       INSERT INTO t VALUES (1, 'a'), (1.5, 'a'), (NULL, 'a'), (CAST(X'ff41' AS TEXT), 'a'), ('x', 'a')`,
    )
    expect(ids(path)).toEqual(['1', 'bad_id', 'bad_id', 'bad_id', 'x'])
    const state = await migrateTable(options(path))
    expect(state.counts).toMatchObject({ found: 5, dead: 5 })
  })

  test('text that is not UTF-8 is passed in a table without rowid too', () => {
    using directory = new Directory()
    const path = withTable(
      directory,
      `CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
       INSERT INTO t VALUES ('a', 'a'), (CAST(X'c3' AS TEXT), 'a'), (CAST(X'f0' AS TEXT), 'a'),
         (CAST(X'ff' AS TEXT), 'a'), (CAST(X'ffff' AS TEXT), 'a')`,
    )
    expect(ids(path)).toEqual(['a', 'bad_id', 'bad_id', 'bad_id', 'bad_id'])
  })
})

describe('what is written where', () => {
  test.each([
    ['v TEXT', 'string'],
    ['v VARCHAR(10)', 'string'],
    ['v BLOB', 'object'],
    ['v', 'string'],
  ])('column %s', async (column, type) => {
    using directory = new Directory()
    const path = withTable(directory, `CREATE TABLE t (k INTEGER PRIMARY KEY, ${column})`, [
      [1, await jweOf(1)],
    ])
    await migrateTable(options(path))
    const database = new Database(path)
    const value = database.prepare<[], string | Uint8Array>('SELECT v FROM t').pluck().get() ?? ''
    expect(typeof value).toBe(type)
    const reader = await RecordReader.open(database)
    expect(reader.read(value, { table: 't', column: 'v', id: '1' })).toBe(plaintextOf(1))
    database.close()
  })

  test('a column without a type takes bytes where bytes were', async () => {
    using directory = new Directory()
    const path = withTable(directory, 'CREATE TABLE t (k INTEGER PRIMARY KEY, v)', [
      [1, Buffer.from(await jweOf(1))],
    ])
    await migrateTable(options(path))
    const database = new Database(path)
    expect(database.prepare('SELECT typeof(v) FROM t').pluck().get()).toBe('blob')
    database.close()
  })

  test('names are those of the schema, whatever case the call uses', async () => {
    using directory = new Directory()
    const path = withTable(directory, 'CREATE TABLE "Weird ""t""" (k INTEGER PRIMARY KEY, "The V" TEXT)')
    const database = new Database(path)
    database.prepare('INSERT INTO "Weird ""t""" VALUES (1, ?)').run(await jweOf(1))
    const source = openSqliteTable(
      options(path, { table: 'weird "T"', columns: { own: ['the v'], read: [] } }),
    )
    expect(source.target).toMatchObject({ table: 'Weird "t"', column: 'The V' })
    source.close()
    await migrateTable(options(path, { table: 'weird "T"', columns: { own: ['the v'], read: [] } }))
    const reader = await RecordReader.open(database)
    const value = database.prepare<[], string>('SELECT "The V" FROM "Weird ""t"""').pluck().get() ?? ''
    expect(reader.read(value, { table: 'Weird "t"', column: 'The V', id: '1' })).toBe(plaintextOf(1))
    database.close()
  })

  test('a replacement that a constraint refuses is a dead letter, and the others are written', async () => {
    using directory = new Directory()
    const path = withTable(
      directory,
      "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT CHECK (k <> 2 OR v LIKE 'eyJ%'))",
      await Promise.all([1, 2, 3].map(async (id) => [id, await jweOf(id)])),
    )
    const state = await migrateTable(options(path))
    expect(state.counts).toMatchObject({ found: 3, earlier: 2, dead: 1 })
    const source = openSqliteTable(options(path))
    expect([...source.deadLetters(state.runId)]).toEqual([
      { locator: '2', format: undefined, keyId: undefined, code: 'constraint' },
    ])
    source.close()
  })

  test('what stays as it was although nobody changed it is a dead letter, not a conflict for ever', async () => {
    using directory = new Directory()
    const path = withTable(
      directory,
      'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT);' +
        'CREATE TRIGGER keep BEFORE UPDATE ON t WHEN old.k = 2 BEGIN SELECT RAISE(IGNORE); END',
      await Promise.all([1, 2, 3].map(async (id) => [id, await jweOf(id)])),
    )
    const database = new Database(path)
    // JSON whose other member is not UTF-8: it opens, but no comparison with what was read finds it again.
    const [header, key, iv, ciphertext, tag] = (await jweOf(3)).split('.')
    const members = { protected: header, encrypted_key: key, iv, ciphertext, tag, note: 'caf@' }
    const [before = '', after = ''] = JSON.stringify(members).split('@')
    const bytes = Buffer.concat([Buffer.from(before), Buffer.from([0xe9]), Buffer.from(after)])
    database.prepare('UPDATE t SET v = CAST(? AS TEXT) WHERE k = 3').run(bytes)
    const state = await migrateTable(options(path))
    expect(state).toMatchObject({ status: 'finished', pass: 2, migrated: 1 })
    expect(state.counts).toMatchObject({ found: 3, earlier: 1, dead: 2, conflict: 0 })
    const source = openSqliteTable(options(path))
    expect([...source.deadLetters(state.runId)].map(({ locator, code }) => [locator, code])).toEqual([
      ['2', 'not_replaced'],
      ['3', 'not_replaced'],
    ])
    source.close()
    expect(database.prepare('SELECT CAST(v AS BLOB) FROM t WHERE k = 3').pluck().get()).toEqual(bytes)
    database.close()
  })

  test('a trigger that ends the transaction ends the run, and nothing of that commit is written', async () => {
    using directory = new Directory()
    const path = withTable(
      directory,
      `CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT);
       CREATE TRIGGER no AFTER UPDATE ON t WHEN new.k = 2 BEGIN SELECT RAISE(ROLLBACK, 'not that one'); END`,
      await Promise.all([1, 2, 3].map(async (id) => [id, await jweOf(id)])),
    )
    expect(readSqliteTable(options(path)).target.notices).toEqual([
      'trigger no fires for every row that is replaced',
    ])
    await expect(migrateTable(options(path))).rejects.toThrow(/not that one/)
    const database = new Database(path)
    const values = database.prepare<[], string>('SELECT v FROM t').pluck().all()
    expect(values.every((value) => jwe.recognize([value]) !== undefined)).toBe(true)
    database.close()
  })

  test('letters of another case are another value, whatever the collation of the column', async () => {
    using directory = new Directory()
    const path = withTable(directory, 'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE)', [
      [1, await jweOf(1)],
    ])
    const writer = new Database(path)
    const swapped = (await jweOf(1)).replaceAll(/[a-z]/gi, (letter) =>
      letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
    )
    const testingBeforeCommit = () => void writer.prepare('UPDATE t SET v = ?').run(swapped)
    const state = await migrateTable(options(path), { run: { testingBeforeCommit, maxPasses: 1 } })
    expect(state.counts).toMatchObject({ migrated: 0, conflict: 1 })
    expect(writer.prepare('SELECT v FROM t').pluck().get()).toBe(swapped)
    writer.close()
  })
})

describe('what is refused before anything is done', () => {
  test.each([
    ['a table that is not there', 'CREATE TABLE u (k INTEGER PRIMARY KEY, v)', {}, /no table t/],
    [
      'a view',
      'CREATE TABLE u (k INTEGER PRIMARY KEY, v); CREATE VIEW t AS SELECT * FROM u',
      {},
      /is a view/,
    ],
    ['a virtual table', 'CREATE VIRTUAL TABLE t USING fts5 (v)', {}, /is a virtual/],
    ['no primary key', 'CREATE TABLE t (k, v)', {}, /no primary key/],
    ['a column that is not there', 'CREATE TABLE t (k INTEGER PRIMARY KEY, w)', {}, /no column v/],
    ['the key itself', 'CREATE TABLE t (v TEXT PRIMARY KEY)', {}, /part of the primary key/],
    ['a generated column', 'CREATE TABLE t (k INTEGER PRIMARY KEY, w, v AS (w))', {}, /is generated/],
    [
      'NOT NULL on a column that becomes NULL',
      'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL, iv TEXT NOT NULL)',
      { columns: { own: ['v', 'iv'], read: [] } },
      /iv of t is NOT NULL, but becomes NULL/,
    ],
  ])('%s', (_, sql, more, message) => {
    using directory = new Directory()
    const path = withTable(directory, sql)
    expect(() => readSqliteTable(options(path, more))).toThrow(message)
    expect(() => openSqliteTable(options(path, more))).toThrow(message)
  })

  test('NOT NULL on the value itself is no obstacle', async () => {
    using directory = new Directory()
    const path = withTable(directory, 'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL)', [
      [1, await jweOf(1)],
    ])
    expect((await migrateTable(options(path))).migrated).toBe(1)
  })
})

test.each([
  [
    'CREATE TABLE longhold_data_keys (key_id BLOB, note TEXT)',
    /longhold_data_keys has no column wrapped_key/,
  ],
  ['CREATE TABLE longhold_run (a)', /longhold_run has no column run_id/],
  ['CREATE TABLE Longhold_Run_Dead (a)', /longhold_run_dead has no column run_id/],
  ['CREATE VIEW longhold_run AS SELECT 1 AS run_id', /longhold_run is a view/],
])("somebody else's table is not taken for ours: %s", async (sql, message) => {
  using directory = new Directory()
  const value = await jweOf(1)
  const path = withTable(directory, 'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)', [[1, value]])
  const database = new Database(path)
  database.exec(sql)
  await expect(migrateTable(options(path))).rejects.toMatchObject({
    kind: 'wrong',
    message: expect.stringMatching(message) as string,
    hint: expect.stringMatching(/rename/) as string,
  })
  expect(database.prepare('SELECT v FROM t').pluck().all()).toEqual([value])
  expect(
    database.prepare("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'longhold%'").pluck().get(),
  ).toBe(1)
  database.close()
})

test('a page ends where its bytes do', () => {
  using directory = new Directory()
  const path = withTable(
    directory,
    'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)',
    [1, 2, 3, 4].map((id) => [id, 'x'.repeat(100)]),
  )
  const reader = readSqliteTable(options(path))
  const first = reader.read(undefined, { maxRows: 100, maxBytes: 150 })
  expect(first.rows.map(({ id }) => id)).toEqual(['1', '2'])
  expect(first.isLast).toBe(false)
  const second = reader.read(first.position, { maxRows: 100, maxBytes: 1e6 })
  expect(second.rows.map(({ id }) => id)).toEqual(['3', '4'])
  expect(second.isLast).toBe(true)
  reader.close()
})

test('a reader changes nothing, and needs no lock', async () => {
  using directory = new Directory()
  const path = withTable(directory, 'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)', [[1, await jweOf(1)]])
  const source = openSqliteTable(options(path))
  const reader = readSqliteTable(options(path))
  expect(reader.isLocked()).toBe(true)
  expect(reader.latestRun()).toBeUndefined()
  expect([...reader.deadLetters('x')]).toEqual([])
  expect(reader.dataKey('00'.repeat(16))).toBeUndefined()
  source.close()
  expect(reader.isLocked()).toBe(false)
  reader.close()
  const database = new Database(path)
  expect(database.prepare('SELECT name FROM sqlite_schema').pluck().all()).toEqual(['t'])
  database.close()
})

test('the lock of a process that was killed is free', async () => {
  using directory = new Directory()
  const path = withTable(directory, 'CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT)')
  const holder = fork(new URL('../support/hold-lock.ts', import.meta.url), [path], { stdio: 'ignore' })
  await new Promise((held) => holder.once('message', held))
  expect(() => openSqliteTable(options(path))).toThrow(/another run is at work on t.db, table t/)
  const ended = new Promise((done) => holder.once('exit', done))
  holder.kill('SIGKILL')
  await ended
  openSqliteTable(options(path)).close()
})

test('a cell that no record could hold is not read into memory', async () => {
  using directory = new Directory()
  const path = withTable(
    directory,
    'CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB); INSERT INTO t VALUES (1, zeroblob(143000000))',
  )
  const database = new Database(path)
  database.prepare('INSERT INTO t VALUES (2, ?)').run(await jweOf(2))
  database.close()
  const state = await migrateTable(options(path))
  expect(state.counts).toMatchObject({ found: 2, earlier: 1, dead: 1 })
  const reader = readSqliteTable(options(path))
  expect([...reader.deadLetters(state.runId)]).toMatchObject([{ locator: '1', code: 'limit_exceeded' }])
  reader.close()
})
