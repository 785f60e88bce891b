import { deflateRawSync } from 'node:zlib'

import { generateIdentity } from '@longhold/core'
import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'

import type { Page } from '../../src/sources/row-source.ts'
import { openSqliteTable } from '../../src/sources/sqlite-table.ts'
import { javaLayout, makeJwe, otherKey } from '../support/legacy-values.ts'
import {
  Directory,
  identity,
  jweOf,
  makeNotes,
  migrate,
  migrateTable,
  notesOptions,
  ownerOf,
  plaintextOf,
  RecordReader,
} from '../support/migration.ts'
import { sealJwe } from '../support/seal-jwe.ts'

const formats = [
  { kind: 'declared', layout: javaLayout },
  { kind: 'built-in', type: 'jwe' },
] as const

interface NoteRow {
  readonly id: number
  readonly body: string
  readonly wrapped_key: string | null
  readonly iv: string | null
  readonly owner: string
}

const notesIn = (database: Database.Database) =>
  database.prepare<[], NoteRow>('SELECT * FROM notes ORDER BY id').all()

describe('a run', () => {
  test('replaces every value by a record that opens under its context, and a second one changes nothing', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 200)
    const state = await migrateTable(notesOptions(path), { formats })
    expect(state).toMatchObject({ status: 'finished', pass: 2, migrated: 200, conflicts: 0 })
    expect(state.counts).toMatchObject({
      found: 200,
      earlier: 200,
      migrated: 0,
      already: 0,
      dead: 0,
      conflict: 0,
    })

    const database = new Database(path)
    const reader = await RecordReader.open(database)
    for (const { id, body, wrapped_key, iv, owner } of notesIn(database)) {
      expect(reader.read(body, { table: 'notes', column: 'body', id: String(id) })).toBe(plaintextOf(id))
      expect([wrapped_key, iv, owner]).toEqual([null, null, ownerOf(id)])
    }
    const [first] = notesIn(database)
    expect(() => reader.read(first?.body ?? '', { table: 'notes', column: 'body', id: '2' })).toThrow(
      /cannot open/,
    )

    const keys = database
      .prepare('SELECT state, messages, bytes, name, key_context FROM longhold_data_keys')
      .all()
    const bytes = Array.from({ length: 200 }, (_, index) => plaintextOf(index + 1).length).reduce(
      (a, b) => a + b,
    )
    expect(keys).toEqual([
      { state: 'reading', messages: 200, bytes, name: 'set', key_context: '{"dataset":"set"}' },
    ])

    const before = notesIn(database)
    const again = await migrateTable(notesOptions(path), { formats })
    expect(again).toMatchObject({ status: 'finished', pass: 1, migrated: 0 })
    expect(again.counts).toMatchObject({ found: 200, already: 200, migrated: 0 })
    expect(notesIn(database)).toEqual(before)
    expect(database.prepare('SELECT count(*) FROM longhold_data_keys').pluck().get()).toBe(1)
    database.close()
  })

  test('a data key lives as long as it may, not longer', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 100)
    const life = { maxRecords: 25, maxBytes: 2 ** 30, maxAgeMs: 3_600_000 }
    await migrateTable(notesOptions(path), { formats, run: { life, batchRows: 10 } })
    const database = new Database(path)
    const counts = database.prepare('SELECT messages FROM longhold_data_keys').pluck().all() as number[]
    expect(counts.toSorted((a, b) => a - b)).toEqual([20, 20, 20, 20, 20])
    expect(
      database.prepare("SELECT count(*) FROM longhold_data_keys WHERE state = 'writing'").pluck().get(),
    ).toBe(0)
    database.close()
  })

  test('a batch is not larger than what a data key may live for', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 30)
    const life = { maxRecords: 7, maxBytes: 2 ** 30, maxAgeMs: 3_600_000 }
    await migrateTable(notesOptions(path), { formats, run: { life, batchRows: 256 } })
    const database = new Database(path)
    const counts = database.prepare('SELECT messages FROM longhold_data_keys').pluck().all() as number[]
    expect(counts.toSorted((a, b) => a - b)).toEqual([2, 7, 7, 7, 7])
    database.close()
  })

  test.each([
    ['bytes', { maxRecords: 1e6, maxBytes: 10_000, maxAgeMs: 3_600_000 }],
    ['age', { maxRecords: 1e6, maxBytes: 1e9, maxAgeMs: 0 }],
  ])('%s bound the life of a data key too', async (_, life) => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 60)
    const state = await migrateTable(notesOptions(path), { formats, run: { life, batchRows: 10 } })
    expect(state.dataKeys.length).toBeGreaterThan(2)
  })

  test.each([1, 2])('compressed values count for what they become, %d in a batch', async (batchRows) => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 8)
    const database = new Database(path)
    const set = database.prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = ?')
    const zip = { alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: 'old', zip: 'DEF' }
    for (let id = 1; id <= 8; id++) set.run(sealJwe(zip, deflateRawSync(Buffer.alloc(4000, id))), id)
    const life = { maxRecords: 1e6, maxBytes: 10_000, maxAgeMs: 3_600_000 }
    const state = await migrateTable(notesOptions(path), { formats, run: { life, batchRows } })
    expect(state.migrated).toBe(8)
    const counted = database.prepare('SELECT messages, bytes, state FROM longhold_data_keys').all()
    expect(counted).toEqual(Array.from({ length: 4 }, () => ({ messages: 2, bytes: 8000, state: 'reading' })))
    const reader = await RecordReader.open(database)
    for (const { id, body } of notesIn(database)) {
      const read = reader.read(body, { table: 'notes', column: 'body', id: String(id) })
      expect(read).toBe(String.fromCharCode(id).repeat(4000))
    }
    database.close()
  })

  test('what does not open stays, and is listed', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 20)
    const database = new Database(path)
    const set = database.prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = ?')
    const foreign = await makeJwe('x', { key: otherKey, kid: 'foreign' })
    set.run(foreign, 3)
    set.run('hello', 4)
    set.run('', 5)
    set.run((await jweOf(7)).slice(0, -2), 7)
    set.run(null, 8)
    const strange = notesIn(database).filter(({ id }) => [3, 4, 5, 7, 8].includes(id))

    const state = await migrateTable(notesOptions(path), { formats })
    expect(state.counts).toMatchObject({ found: 19, earlier: 15, dead: 4, conflict: 0, empty: 1 })
    expect(state.status).toBe('finished')
    const source = openSqliteTable(notesOptions(path))
    expect([...source.deadLetters(state.runId)]).toEqual([
      { locator: '3', format: 'jwe', keyId: 'foreign', code: 'cannot_open' },
      { locator: '4', format: undefined, keyId: undefined, code: 'unrecognized' },
      { locator: '5', format: undefined, keyId: undefined, code: 'unrecognized' },
      { locator: '7', format: 'jwe', keyId: 'old', code: 'malformed' },
    ])
    source.close()
    expect(notesIn(database).filter(({ id }) => [3, 4, 5, 7, 8].includes(id))).toEqual(strange)
    database.close()
  })

  test('a table in which nothing opens gets no data key', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 10)
    const database = new Database(path)
    database.exec("UPDATE notes SET body = 'nothing known'")
    const state = await migrateTable(notesOptions(path), { formats })
    expect(state.counts).toMatchObject({ found: 10, dead: 10 })
    expect(database.prepare('SELECT count(*) FROM longhold_data_keys').pluck().get()).toBe(0)
    database.close()
  })

  test('a record that does not open again is not written', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 10)
    const database = new Database(path)
    const before = notesIn(database)
    let count = 0
    const testingAlter = (record: Uint8Array) => {
      if (++count % 2 === 0) record[record.length - 1] = (record.at(-1) ?? 0) ^ 1
      return record
    }
    const state = await migrateTable(notesOptions(path), {
      formats,
      transform: { testingAlter },
      run: { maxPasses: 1 },
    })
    expect(state.counts).toMatchObject({ migrated: 5, dead: 5 })
    const after = notesIn(database)
    expect(after.filter(({ body }, index) => body === before[index]?.body).length).toBe(5)
    database.close()
  })

  test('every n-th record is opened through the identity, and one that differs stops the run', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 40)
    // The worker's digests are keyed differently: as if it had encrypted something else.
    const transform = { digestKey: new Uint8Array(32).fill(1) }
    await expect(migrateTable(notesOptions(path), { formats, transform })).rejects.toThrow(
      /does not open as it should/,
    )
    const database = new Database(path)
    expect(notesIn(database).filter(({ body }) => body.startsWith('TEhS'))).toEqual([])
    database.close()
  })

  test('an identity that cannot open what is written stops the run before the first record', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 10)
    const run = { identities: [generateIdentity()] }
    await expect(migrateTable(notesOptions(path), { formats, run })).rejects.toThrow(
      /no identity that was given/,
    )
    const database = new Database(path)
    expect(database.prepare('SELECT count(*) FROM longhold_data_keys').pluck().get()).toBe(0)
    expect(notesIn(database).some(({ body }) => body.startsWith('TEhS'))).toBe(false)
    database.close()
  })

  test('a signal stops it at a safe point, and it goes on from there', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 200)
    const controller = new AbortController()
    let commits = 0
    const stopped = await migrateTable(notesOptions(path), {
      formats,
      run: {
        batchRows: 10,
        signal: controller.signal,
        onProgress: () => ++commits === 2 && controller.abort(),
      },
    })
    expect(stopped.status).toBe('stopped')
    expect(stopped.migrated).toBeGreaterThan(0)
    expect(stopped.migrated).toBeLessThan(200)
    const state = await migrateTable(notesOptions(path), { formats })
    expect(state).toMatchObject({ runId: stopped.runId, status: 'finished', migrated: 200 })
    expect(state.counts).toMatchObject({ found: 200, earlier: 200 })
    // Each process writes under data keys of its own.
    expect(state.dataKeys.length).toBe(2)
  })

  test('old values that keep appearing end it after the last pass', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 20)
    const writer = new Database(path)
    const put = writer.prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = 1')
    const value = await jweOf(1)
    const state = await migrateTable(notesOptions(path), {
      formats,
      run: { maxPasses: 3, onProgress: () => void put.run(value) },
    })
    expect(state).toMatchObject({ status: 'stopped', pass: 3 })
    // Once they no longer do, the same call comes to an end.
    const again = await migrateTable(notesOptions(path), { formats, run: { maxPasses: 3 } })
    expect(again).toMatchObject({ runId: state.runId, status: 'finished' })
    expect(again.counts).toMatchObject({ found: 20, migrated: 0, conflict: 0 })
    writer.close()
  })

  test('values that somebody else wrote as records are left alone', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 30)
    await migrateTable(notesOptions(path), { formats })
    const database = new Database(path)
    const set = database.prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = ?')
    set.run(await jweOf(5), 5)
    const state = await migrateTable(notesOptions(path), { formats })
    expect(state).toMatchObject({ migrated: 1, pass: 2 })
    expect(state.counts).toMatchObject({ found: 30, already: 29, earlier: 1 })
    database.close()
  })
})

describe('while the application writes', () => {
  const rows = 400
  const updates = 150

  /** Updates rows of each page between its reading and its commit. @returns What each id must hold in the end. */
  async function race(testingWithoutCompareAndSwap: boolean) {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, rows)
    const expected = new Map(Array.from({ length: rows }, (_, index) => [index + 1, plaintextOf(index + 1)]))
    const fresh = await Promise.all(
      Array.from({ length: updates }, async (_, index) => await makeJwe(`update ${index}`)),
    )
    const writer = new Database(path)
    const put = writer.prepare('UPDATE notes SET body = ?, wrapped_key = NULL, iv = NULL WHERE id = ?')
    let written = 0
    const testingBeforeCommit = (pages: readonly Page[]) => {
      for (const { rows: read } of pages) {
        for (const { locator } of read.filter((_, index) => index % 2 === 0)) {
          if (written === updates) return
          const value = fresh[written]
          if (put.run(value, Number(locator)).changes !== 1) throw new Error('the writer missed a row')
          expected.set(Number(locator), `update ${written}`)
          written++
        }
      }
    }
    const source = openSqliteTable(notesOptions(path, { testingWithoutCompareAndSwap }))
    const state = await migrate(source, { formats, run: { testingBeforeCommit, batchRows: 16 } })
    source.close()
    const reader = await RecordReader.open(writer)
    const lost = notesIn(writer).filter(
      ({ id, body }) =>
        reader.read(body, { table: 'notes', column: 'body', id: String(id) }) !== expected.get(id),
    ).length
    writer.close()
    return { written, lost, state }
  }

  test('none of the updates between reading and writing is lost', async () => {
    const { written, lost, state } = await race(false)
    expect({ written, lost }).toEqual({ written: updates, lost: 0 })
    expect(state).toMatchObject({ status: 'finished', conflicts: updates, migrated: rows })
  })

  test('without compare-and-swap the same harness loses them', async () => {
    const { written, lost } = await race(true)
    expect(written).toBe(updates)
    expect(lost).toBeGreaterThan(0)
  })

  test('rows that go away or change their key are conflicts, not losses', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 50)
    const writer = new Database(path)
    let isFirst = true
    const testingBeforeCommit = () => {
      if (isFirst) writer.exec('DELETE FROM notes WHERE id = 3; UPDATE notes SET id = 1000 WHERE id = 5')
      isFirst = false
    }
    const state = await migrateTable(notesOptions(path), { formats, run: { testingBeforeCommit } })
    expect(state.conflicts).toBe(2)
    expect(state.counts).toMatchObject({ found: 49, earlier: 49 })
    const reader = await RecordReader.open(writer)
    const moved = notesIn(writer).find(({ id }) => id === 1000)
    expect(reader.read(moved?.body ?? '', { table: 'notes', column: 'body', id: '1000' })).toBe(
      plaintextOf(5),
    )
    writer.close()
  })

  test('the lock keeps a second run out, in this process too', async () => {
    using directory = new Directory()
    const path = directory.file('notes.db')
    await makeNotes(path, 2)
    const source = openSqliteTable(notesOptions(path))
    expect(() => openSqliteTable(notesOptions(path))).toThrow(/another run is at work/)
    source.close()
    openSqliteTable(notesOptions(path)).close()
  })
})

test('an identity proves nothing it was not asked', async () => {
  using directory = new Directory()
  const path = directory.file('notes.db')
  await makeNotes(path, 20)
  const state = await migrateTable(notesOptions(path), {
    formats,
    run: { identities: [], recipients: [identity.recipient, generateIdentity().recipient] },
  })
  expect(state).toMatchObject({ status: 'finished', migrated: 20 })
})
