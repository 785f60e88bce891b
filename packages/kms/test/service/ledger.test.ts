import { join } from 'node:path'

import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'

import { insert, remove, update } from '../../src/service/changes.ts'
import type { Change } from '../../src/service/changes.ts'
import type { Commit, KeyStore } from '../../src/service/key-store.ts'
import { keyColumnsOf, tableNames } from '../../src/service/rows.ts'
import type { TableName } from '../../src/service/rows.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { SqliteStore } from '../../src/store/sqlite/store.ts'
import { temporaryDirectory } from '../support/files.ts'
import { beginLedger, openLedger } from '../support/ledger.ts'
import type { TestLedger } from '../support/ledger.ts'
import { keyRow, tokenRow } from '../support/rows.ts'
import { sampleRow } from '../support/sample-row.ts'

const violation = { code: 'integrity_violation' }
type Raw = Record<string, unknown>

/** Two rows in every table, made by a ledger, and a way into the database past it. */
async function filled() {
  const path = join(temporaryDirectory(), 'kms.db')
  const store = SqliteStore.open({ path })
  onTestFinished(() => store.close())
  await beginLedger(store)
  const under = await openLedger(store)
  const made = tableNames.flatMap((table) =>
    [1, 2].map((name) => insert(table, sampleRow(table, name, name) as never) as Change),
  )
  expect(await under.commit(insert('keys', keyRow('parent')), ...made)).toBe('done')
  const outside = new Database(path)
  onTestFinished(() => void outside.close())
  return { ...under, under, store, outside }
}

/** The sample row `name` as the database has it. */
function rawRow(outside: Database.Database, table: TableName, name: number): Raw {
  const rows = outside.prepare(`select rowid as place, * from ${table}`).all() as Raw[]
  const found = rows.find((row) =>
    keyColumnsOf(table).every((column) => {
      const [mine, theirs] = [row[snake(column)], sampleRow(table, name, name)[column]]
      return theirs instanceof Uint8Array ? Buffer.from(theirs).equals(mine as Buffer) : mine === theirs
    }),
  )
  if (found === undefined) throw new Error(`no row ${name} in ${table}`)
  return found
}

const snake = (name: string) => name.replace(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`)

function keyOf(table: TableName, name: number) {
  const row = sampleRow(table, name, name)
  return Object.fromEntries(keyColumnsOf(table).map((column) => [column, row[column]])) as never
}

/** Writes a raw row in the place where it was. */
function putBack(outside: Database.Database, table: TableName, { place, ...row }: Raw): void {
  const columns = Object.keys(row)
  outside.prepare(`delete from ${table} where rowid = ?`).run(place)
  outside
    .prepare(`insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`)
    .run(...Object.values(row))
}

/** Another value of the same kind. */
function altered(value: unknown): unknown {
  if (typeof value === 'number') return value === 0 ? 1 : value - 1
  if (typeof value === 'string') return value.startsWith('[') ? '["other"]' : `${value}x`
  if (value instanceof Uint8Array) return Buffer.from(value).fill(0xee, 0, 1)
  return 7
}

describe('somebody with access to the database, in every table', () => {
  /**
   * Runs an attack on one table after the other, each on a ledger of its own; what it did to the table is undone before
   * the next.
   */
  async function inEveryTable(
    attack: (table: TableName, on: TestLedger, outside: Database.Database) => Promise<() => void>,
  ): Promise<void> {
    const { store, outside, close } = await filled()
    await close()
    for (const [index, table] of tableNames.entries()) {
      const under = await openLedger(store, { ordinal: 10 + index })
      expect(under.fault, table).toBeUndefined()
      const undo = await attack(table, under, outside)
      await expect(under.verify(), table).rejects.toMatchObject(violation)
      await expect(under.ledger.row(table, keyOf(table, 2)), table).rejects.toBe(under.fault)
      await under.close()
      undo()
    }
  }

  test('cannot edit any column of a row', async () => {
    await inEveryTable(async (table, { ledger, verify }, outside) => {
      const key = keyOf(table, 1)
      // Known to be right, and kept: an edit shows all the same.
      expect(await ledger.row(table, key)).toBeDefined()
      const row = rawRow(outside, table, 1)
      const names = keyColumnsOf(table).map(snake)
      const columns = Object.keys(row).filter((column) => column !== 'place' && !names.includes(column))
      const set = (column: string, value: unknown) =>
        outside.prepare(`update ${table} set ${column} = ? where rowid = ?`).run(value, row['place'])
      for (const column of columns) {
        set(column, altered(row[column]))
        await expect(ledger.row(table, key), column).rejects.toMatchObject(violation)
        await expect(ledger.rows(table, { limit: 100 }), column).rejects.toMatchObject(violation)
        set(column, row[column])
      }
      expect(await ledger.row(table, key)).toBeDefined()
      await verify()
      const [column = ''] = columns
      set(column, altered(row[column]))
      return () => set(column, row[column])
    })
  })

  test('cannot put one row in the place of another', async () => {
    await inEveryTable(async (table, { ledger }, outside) => {
      const [one, two] = [rawRow(outside, table, 1), rawRow(outside, table, 2)]
      const keys = Object.fromEntries(keyColumnsOf(table).map((name) => [snake(name), one[snake(name)]]))
      outside.prepare(`delete from ${table} where rowid = ?`).run(one['place'])
      putBack(outside, table, { ...two, ...keys })
      await expect(ledger.row(table, keyOf(table, 1)), table).rejects.toMatchObject(violation)
      return () => {
        putBack(outside, table, { ...one, place: rawRow(outside, table, 1)['place'] })
        putBack(outside, table, two)
      }
    })
  })

  test('cannot take a row away', async () => {
    await inEveryTable(async (table, { ledger }, outside) => {
      const row = rawRow(outside, table, 1)
      outside.prepare(`delete from ${table} where rowid = ?`).run(row['place'])
      expect(await ledger.row(table, keyOf(table, 1)), table).toBeUndefined()
      return () => putBack(outside, table, row)
    })
  })

  test('cannot put a row back as it was before it was changed, though its own MAC is right', async () => {
    await inEveryTable(async (table, { ledger, verify, commit }, outside) => {
      const old = rawRow(outside, table, 1)
      const row = await ledger.row(table, keyOf(table, 1))
      if (row === undefined) throw new Error('no row')
      const isKey = (name: string) => keyColumnsOf(table).includes(name)
      const content = Object.entries(sampleRow(table, 1, 2)).filter(([name]) => !isKey(name))
      const change = update(table, row, Object.fromEntries(content) as never) as Change
      expect(await commit(change), table).toBe('done')
      await verify()
      const newest = rawRow(outside, table, 1)
      putBack(outside, table, old)
      expect(await ledger.row(table, keyOf(table, 1)), table).toMatchObject({ generation: 1 })
      return () => putBack(outside, table, { ...newest, place: rawRow(outside, table, 1)['place'] })
    })
  })

  test('cannot bring back a row that was removed', async () => {
    await inEveryTable(async (table, { ledger, verify, commit }, outside) => {
      const old = rawRow(outside, table, 1)
      const row = await ledger.row(table, keyOf(table, 1))
      if (row === undefined) throw new Error('no row')
      expect(await commit(remove(table, row) as Change), table).toBe('done')
      await verify()
      putBack(outside, table, old)
      return () =>
        outside.prepare(`delete from ${table} where rowid = ?`).run(rawRow(outside, table, 1)['place'])
    })
  })
})

describe('the cluster head', () => {
  test.each<[string, string]>([
    ['edited', 'update cluster_head set epoch = epoch + 1'],
    ['with another count', 'update cluster_head set row_count = row_count - 1'],
    ['taken away', 'delete from cluster_head'],
  ])('%s is noticed', async (_, statement) => {
    const { under, outside } = await filled()
    outside.prepare(statement).run()
    await expect(under.verify()).rejects.toMatchObject(violation)
  })

  test('put back as it once was is noticed, alone and with one row', async () => {
    const { under, outside } = await filled()
    const old = outside.prepare('select * from cluster_head').get() as Raw
    const oldChain = outside
      .prepare('select rowid as place, * from audit_heads where ordinal = 2')
      .get() as Raw
    expect(await under.commit(insert('tokens', tokenRow('new')))).toBe('done')
    putBack(outside, 'cluster_head' as TableName, { place: old['id'], ...old })
    await expect(under.verify()).rejects.toMatchObject(violation)
    outside.prepare(`delete from tokens where token = 'new'`).run()
    await expect(under.verify()).rejects.toMatchObject(violation)
    // All that was written: that is an older database, whole in itself. Who wrote the newer one knows.
    putBack(outside, 'audit_heads', oldChain)
    await expect(under.verify()).rejects.toMatchObject({ code: 'rollback_detected' })
  })

  test('of another database does not fit', async () => {
    const [here, there] = [await filled(), await filled()]
    await there.under.commit(insert('tokens', tokenRow('new')))
    const theirs = there.outside.prepare('select * from cluster_head').get() as Raw
    putBack(here.outside, 'cluster_head' as TableName, { place: 1, ...theirs })
    await expect(here.under.verify()).rejects.toMatchObject(violation)
  })
})

describe('a ledger', () => {
  test('that was frozen refuses every reading and every writing, with why', async () => {
    const { ledger, under, outside } = await filled()
    outside.prepare(`delete from tokens`).run()
    await expect(under.verify()).rejects.toMatchObject(violation)
    const every = [
      () => ledger.row('keys', { key: 'parent' }),
      () => ledger.rows('keys', { limit: 1 }),
      () => ledger.versionsByRecipientId([]),
      () => under.commit(insert('keys', keyRow('b'))),
    ]
    for (const one of every) await expect(one()).rejects.toBe(under.fault)
  })

  test('opened over a database that was altered is frozen from the start, and writes nothing', async () => {
    const { store, outside, close } = await filled()
    await close()
    outside.prepare(`update keys set rewrap_to = '["x"]' where key = 'parent'`).run()
    const faults: unknown[] = []
    const before = await store.head()
    const again = await openLedger(store, { ordinal: 9, onFault: (fault) => void faults.push(fault) })
    expect(again.fault).toMatchObject({
      code: 'integrity_violation',
      message: expect.stringContaining('keys parent'),
    })
    expect(faults).toEqual([again.fault])
    await expect(again.commit(insert('keys', keyRow('b')))).rejects.toBe(again.fault)
    expect(await store.head()).toEqual(before)
  })

  test('verifies by itself, and soon when a row that it read was wrong', async () => {
    const { store, outside, close } = await filled()
    await close()
    let found: (fault: unknown) => void = () => undefined
    const fault = new Promise((resolve) => (found = resolve))
    const again = await openLedger(store, { ordinal: 9, verifyEveryMs: 1, onFault: (one) => found(one) })
    outside.prepare(`delete from tokens`).run()
    expect(await fault).toBe(again.fault)
  })

  test('refuses a change of a row that is not what it wrote', async () => {
    const { ledger, under, store } = await filled()
    const row = await ledger.row('keys', { key: 'parent' })
    if (row === undefined) throw new Error('no row')
    const before = await store.head()
    const forged = { ...row, rewrapTo: ['x'] }
    await expect(under.commit(update('keys', forged, {}))).rejects.toMatchObject(violation)
    expect(await store.head()).toEqual(before)
  })

  test('goes on after another one wrote, and both fit the head', async () => {
    const store = new MemoryStore()
    await beginLedger(store)
    const [a, b] = [await openLedger(store, { ordinal: 2 }), await openLedger(store, { ordinal: 3 })]
    for (let round = 0; round < 5; round++) {
      expect(await a.commit(insert('tokens', tokenRow(`a${round}`)))).toBe('done')
      expect(await b.commit(insert('tokens', tokenRow(`b${round}`)))).toBe('done')
    }
    const outcomes = await Promise.all(
      [a, b, a, b, a, b].map((under, index) =>
        under.commit(insert('tokens', tokenRow(`c${index}`))).catch(() => 'late'),
      ),
    )
    expect(outcomes).toContain('done')
    await a.verify()
    await b.verify()
    const [row] = await a.ledger.rows('tokens', { limit: 1 })
    if (row === undefined) throw new Error('no row')
    expect(await a.commit(update('tokens', row, { revokedAt: 5 }))).toBe('done')
    expect(await b.commit(update('tokens', row, { revokedAt: 6 }))).toBe('conflict')
    await b.verify()
    expect(await b.ledger.row('tokens', row)).toMatchObject({ revokedAt: 5, generation: 2 })
  })

  test('finds out where it stands after a write of which nobody knows the outcome', async () => {
    const inner = new MemoryStore()
    await beginLedger(inner)
    let losesTheAnswer = false
    const store: KeyStore = new Proxy(inner, {
      get(target, name: keyof KeyStore) {
        const method = target[name] as (...args: unknown[]) => Promise<unknown>
        if (name !== 'commit') return method.bind(target)
        return async (commit: Commit) => {
          const outcome = await target.commit(commit)
          if (losesTheAnswer) throw new Error('the connection broke after the commit')
          return outcome
        }
      },
    })
    const under = await openLedger(store)
    losesTheAnswer = true
    await expect(under.commit(insert('keys', keyRow('a')))).rejects.toThrow('broke')
    losesTheAnswer = false
    const other = await openLedger(store, { ordinal: 3 })
    expect(await other.commit(insert('keys', keyRow('b')))).toBe('done')
    await under.verify()
  })
})
