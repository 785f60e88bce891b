/** What every KeyStore does. A store's own test is three lines that call this. */

import { beforeEach, afterEach, describe, expect, test } from 'vitest'

import type { KeyStore } from '../../src/service/key-store.ts'
import { tableNames, tables } from '../../src/service/rows.ts'
import type { TableName } from '../../src/service/rows.ts'
import {
  contentsOf,
  inserted,
  keyRow,
  newKey,
  removed,
  stored,
  TestWriter,
  tokenRow,
  updated,
  versionRow,
} from '../support/rows.ts'
import { sampleRow } from '../support/sample-row.ts'

export interface StoreUnderTest {
  readonly store: KeyStore
  /** Closes the store and removes what it left. */
  close(): Promise<void>
}

export function keyStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`KeyStore contract: ${name}`, () => {
    let under: StoreUnderTest
    let store: KeyStore
    let writer: TestWriter
    beforeEach(async () => {
      under = await open()
      store = under.store
      writer = new TestWriter(store)
    })
    afterEach(() => under.close())

    const versionsOf = (key: string) => store.rows('versions', { within: { key }, limit: 1000 })

    test('an empty store holds nothing', async () => {
      expect(await store.head()).toBeUndefined()
      for (const table of tableNames) expect(await store.rows(table, { limit: 10 })).toEqual([])
      expect(await store.row('keys', { key: 'a' })).toBeUndefined()
      expect(await store.versionsByRecipientId([new Uint8Array(16)])).toEqual([])
      expect(await store.versionsByRecipientId([])).toEqual([])
      expect(await store.auditRuns()).toEqual([])
      expect(await store.auditEntries('a'.repeat(32), { limit: 10 })).toEqual([])
    })

    test.each(tableNames)('a row of %s comes back as it was written, changes and goes', async (table) => {
      const { before, key, after } = sampleOf(table)
      // The head of the writer's own chain moves with every write.
      const all = async () =>
        (await store.rows(table, { limit: 100 })).filter((row) => !('run' in row) || row.run !== writer.run)
      const reads = async () => [await store.row(table, key), await all()]
      const others = await all()
      const insertion = { table, row: before, expected: null } as never
      expect(await writer.write([insertion])).toBe('done')
      expect(await store.row(table, key)).toEqual(before)
      expect(await all()).toHaveLength(others.length + 1)

      const there = await reads()
      expect(await writer.write([insertion])).toBe('conflict')
      expect(await writer.write([{ table, row: after, expected: 2 } as never])).toBe('conflict')
      expect(await writer.write([removed(table, key, 2)])).toBe('conflict')
      expect(await reads()).toEqual(there)

      expect(await writer.write([{ table, row: after, expected: 1 } as never])).toBe('done')
      expect(await store.row(table, key)).toEqual(after)
      expect(await writer.write([{ table, row: after, expected: 1 } as never])).toBe('conflict')
      expect(await writer.write([removed(table, key, 1)])).toBe('conflict')
      expect(await writer.write([removed(table, key, 2)])).toBe('done')
      expect(await store.row(table, key)).toBeUndefined()
      expect(await all()).toEqual(others)
      expect(await writer.write([{ table, row: after, expected: 2 } as never])).toBe('conflict')
      expect(await writer.write([removed(table, key, 2)])).toBe('conflict')
    })

    test('the first write expects an empty store, each later one the epoch before', async () => {
      const first = writer.next(newKey('a'))
      expect(await store.commit(first)).toBe('done')
      expect(await store.head()).toEqual(first.head)
      const second = new TestWriter(store, 'b'.repeat(32), 2)
      expect(await second.write(newKey('b'))).toBe('head_moved')
      expect(await store.row('keys', { key: 'b' })).toBeUndefined()

      writer.accept(first)
      for (const expectedEpoch of [null, 0, 2, 7]) {
        expect(await writer.write(newKey('c'), { expectedEpoch })).toBe('head_moved')
      }
      expect(await store.head()).toEqual(first.head)
      const next = writer.next(newKey('c'))
      expect(await store.commit(next)).toBe('done')
      expect(await store.head()).toEqual(next.head)
    })

    test('all writes are made or none, whichever is not as expected', async () => {
      await writer.write([...newKey('a'), inserted('tokens', tokenRow('ab'.repeat(12)))])
      const before = await contentsOf(store)
      const good = [inserted('keys', keyRow('b')), inserted('versions', versionRow('b', 1))]
      const bad = [
        inserted('keys', keyRow('a')),
        inserted('versions', versionRow('a', 1)),
        updated('keys', keyRow('a'), 2),
        updated('keys', keyRow('none'), 1),
        removed('tokens', { token: 'ab'.repeat(12) }, 3),
        removed('tokens', { token: 'none' }, 1),
      ]
      for (const one of bad) {
        expect(await writer.write([...good, one])).toBe('conflict')
        expect(await writer.write([one, ...good])).toBe('conflict')
        expect(await contentsOf(store)).toEqual(before)
      }
      expect(await writer.write(good)).toBe('done')
    })

    test('rows come in the order of their keys, a page at a time', async () => {
      const names = ['m', 'a', 'z.9', 'z-1', 'a0', 'a-']
      const made = names.map((key) => inserted('keys', keyRow(key, { rewrapTo: ['a'], rotatedAt: 7 })))
      expect(await writer.write(made)).toBe('done')
      const expected = made.map(({ row }) => row).toSorted((a, b) => (a.key < b.key ? -1 : 1))
      expect(await store.rows('keys', { limit: 100 })).toEqual(expected)
      expect(await store.rows('keys', { limit: 2 })).toEqual(expected.slice(0, 2))
      expect(await store.rows('keys', { after: { key: 'a0' }, limit: 2 })).toEqual(expected.slice(3, 5))
      expect(await store.rows('keys', { after: { key: 'mm' }, limit: 100 })).toEqual(expected.slice(4))
    })

    test('rows of two key columns: of one first value, and of all', async () => {
      const rows = ['a', 'b'].flatMap((key) =>
        Array.from({ length: 12 }, (_, index) =>
          inserted('versions', versionRow(key, index + 1, { state: index === 11 ? 'primary' : 'disabled' })),
        ),
      )
      expect(await writer.write([...['a', 'b'].map((key) => inserted('keys', keyRow(key))), ...rows])).toBe(
        'done',
      )
      const names = (found: readonly { key: string; version: number }[]) =>
        found.map(({ key, version }) => `${key}${version}`)
      const within = { key: 'a' }
      expect(
        names(await store.rows('versions', { within, after: { key: 'a', version: 4 }, limit: 5 })),
      ).toEqual(['a5', 'a6', 'a7', 'a8', 'a9'])
      expect(await versionsOf('b')).toEqual(rows.slice(12).map(({ row }) => row))
      expect(names(await store.rows('versions', { after: { key: 'a', version: 11 }, limit: 3 }))).toEqual([
        'a12',
        'b1',
        'b2',
      ])
      expect(await store.rows('versions', { limit: 1000 })).toEqual(rows.map(({ row }) => row))
    })

    test('a recipient id is given once', async () => {
      const [key, version] = newKey('a')
      expect(await writer.write([key, version])).toBe('done')
      const { recipientId } = version.row
      const thief = [inserted('keys', keyRow('b')), inserted('versions', versionRow('b', 1, { recipientId }))]
      expect(await writer.write(thief)).toBe('conflict')
      expect(await store.row('keys', { key: 'b' })).toBeUndefined()
    })

    test('a key has one primary, which moves in one write', async () => {
      const [key, version] = newKey('a')
      await writer.write([key, version])
      const second = inserted('versions', versionRow('a', 2))
      expect(await writer.write([second])).toBe('conflict')
      const old = updated('versions', { ...version.row, state: 'unwrap_only' }, 1)
      expect(await writer.write([old, second])).toBe('done')
      expect((await versionsOf('a')).map(({ state }) => state)).toEqual(['unwrap_only', 'primary'])
      expect(await writer.write([updated('versions', version.row, 2)])).toBe('conflict')
      expect((await versionsOf('a')).map(({ state }) => state)).toEqual(['unwrap_only', 'primary'])
    })

    test('what is returned and what was given is nobody else’s', async () => {
      const [key, version] = newKey('a')
      const seed = new Uint8Array(version.row.sealedSeed)
      await writer.write([key, version])
      version.row.sealedSeed.fill(0)
      const read = await store.row('versions', { key: 'a', version: 1 })
      expect(read?.sealedSeed).toEqual(seed)
      read?.sealedSeed.fill(0)
      const [again] = await versionsOf('a')
      expect(again?.sealedSeed).toEqual(seed)
      again?.sealedSeed.fill(0)
      const [found] = await store.versionsByRecipientId([version.row.recipientId])
      expect(found?.sealedSeed).toEqual(seed)
      expect(Object.getPrototypeOf(found?.sealedSeed)).toBe(Uint8Array.prototype)
    })

    test('versions are found by recipient id', async () => {
      const [a, b] = [newKey('a'), newKey('b')]
      await writer.write([...a, ...b])
      const ids = [b[1].row.recipientId, Buffer.from(a[1].row.recipientId), new Uint8Array(16)]
      const found = await store.versionsByRecipientId(ids)
      expect(found.toSorted((left, right) => (left.key < right.key ? -1 : 1))).toEqual([a[1].row, b[1].row])
    })

    test('entries are appended in order, and only at the end of their chain', async () => {
      const first = writer.next([], { entries: 3 })
      expect(await store.commit(first)).toBe('done')
      writer.accept(first)
      expect(await writer.write([], { expectedSeq: null })).toBe('chain_moved')
      expect(await writer.write([], { expectedSeq: 2 })).toBe('chain_moved')
      expect(await writer.write([], { expectedSeq: 4 })).toBe('chain_moved')
      const more = writer.next([], { entries: 2 })
      expect(await store.commit(more)).toBe('done')
      const { run } = writer
      expect(await store.row('audit_heads', { run })).toEqual(more.audit.head)
      const entries = [...first.audit.entries, ...more.audit.entries]
      expect(await store.auditEntries(run, { limit: 100 })).toEqual(entries)
      expect(await store.auditEntries(run, { after: 2, limit: 2 })).toEqual(entries.slice(2, 4))
    })

    test('entries are forgotten from the beginning of their chain, so many at a time, and nothing else is', async () => {
      await writer.write([], { entries: 5 })
      const other = new TestWriter(store, 'b'.repeat(32), 2)
      expect(await other.write([], { expectedEpoch: 1, entries: 2 })).toBe('done')
      const [all, theirs] = [
        await store.auditEntries(writer.run, { limit: 10 }),
        await store.auditEntries(other.run, { limit: 10 }),
      ]
      const [head, heads] = [await store.head(), await store.rows('audit_heads', { limit: 10 })]
      const forget = (through: number, limit: number) =>
        store.forgetAuditEntries(writer.run, { through, limit })
      expect(await forget(4, 3)).toBe(3)
      expect(await store.auditEntries(writer.run, { limit: 10 })).toEqual(all.slice(3))
      expect(await forget(4, 3)).toBe(1)
      expect(await forget(4, 3)).toBe(0)
      expect(await store.auditEntries(writer.run, { limit: 10 })).toEqual(all.slice(4))
      expect(await store.auditEntries(other.run, { limit: 10 })).toEqual(theirs)
      expect(await store.head()).toEqual(head)
      expect(await store.rows('audit_heads', { limit: 10 })).toEqual(heads)
      expect(await store.forgetAuditEntries('c'.repeat(32), { through: 9, limit: 9 })).toBe(0)
    })

    test('runs keep apart, and no two begin at the same place', async () => {
      await writer.write()
      const [b, c] = [new TestWriter(store, 'b'.repeat(32), 2), new TestWriter(store, 'c'.repeat(32), 2)]
      expect(await b.write([], { expectedEpoch: 1 })).toBe('done')
      expect(await c.write([], { expectedEpoch: 2 })).toBe('chain_moved')
      expect(new Set(await store.auditRuns())).toEqual(new Set([writer.run, b.run]))
    })

    test('a change whose entry does not fit the chain is not made', async () => {
      await writer.write()
      const before = await contentsOf(store)
      expect(await writer.write(newKey('a'), { expectedSeq: null })).toBe('chain_moved')
      expect(await writer.write(newKey('a'), { expectedSeq: 5 })).toBe('chain_moved')
      expect(await contentsOf(store)).toEqual(before)
    })

    test('of 64 writes at once from one epoch, one is made', async () => {
      const [key, version] = newKey('a')
      await writer.write([key, version])
      const old = updated('versions', { ...version.row, state: 'unwrap_only' }, 1)
      const commits = Array.from({ length: 64 }, () =>
        writer.next([old, inserted('versions', versionRow('a', 2))]),
      )
      const outcomes = await Promise.all(commits.map((commit) => store.commit(commit)))
      expect(outcomes.toSorted()).toEqual(['done', ...Array.from({ length: 63 }, () => 'head_moved')])
      expect((await versionsOf('a')).map(({ state }) => state)).toEqual(['unwrap_only', 'primary'])
    })

    test('has a clock, in milliseconds since 1970', async () => {
      const [before, shown, after] = [Date.now(), await store.now(), Date.now()]
      // A server on another machine may be off; those of the tests are on this one.
      expect(shown).toBeGreaterThanOrEqual(before - 1)
      expect(shown).toBeLessThanOrEqual(after + 1)
    })

    test('a snapshot sees what was there when it was taken', async () => {
      await writer.write(newKey('a'))
      const head = await store.head()
      const snapshot = await store.snapshot()
      try {
        await writer.write(newKey('b'))
        expect(await snapshot.head()).toEqual(head)
        expect((await snapshot.rows('keys', { limit: 10 })).map(({ key }) => key)).toEqual(['a'])
        expect(await snapshot.row('keys', { key: 'b' })).toBeUndefined()
        expect(await store.row('keys', { key: 'b' })).toBeDefined()
        const entries = await snapshot.auditEntries(writer.run, { limit: 10 })
        expect(entries).toHaveLength(1)
        expect(await store.auditEntries(writer.run, { limit: 10 })).toHaveLength(2)
        expect(entries).toEqual(await store.auditEntries(writer.run, { limit: 1 }))
      } finally {
        await snapshot.close()
      }
    })

    test('is filled with everything or nothing', async () => {
      await writer.write(newKey('a'))
      const content = await contentsOf(store)
      const entries = await store.auditEntries(writer.run, { limit: 10 })
      const head = await store.head()
      if (head === undefined) throw new Error('nothing was written')
      const other = await open()
      try {
        const empty = await contentsOf(other.store)
        const fill = async (ending: 'finish' | 'give up') => {
          const filling = await other.store.fill()
          try {
            for (const table of tableNames)
              await filling.rows(table, await store.rows(table, { limit: 1000 }))
            await filling.entries(entries)
            if (ending === 'finish') await filling.finish(head)
          } finally {
            await filling.close()
          }
        }
        await fill('give up')
        expect(await contentsOf(other.store)).toEqual(empty)
        await fill('finish')
        expect(await contentsOf(other.store)).toEqual(content)
        expect(await other.store.auditEntries(writer.run, { limit: 10 })).toEqual(entries)
        expect(await other.store.head()).toEqual(head)
        await expect(other.store.fill()).rejects.toMatchObject({
          code: 'already_initialised',
          message: expect.stringContaining('keys') as string,
        })
        expect(await contentsOf(other.store)).toEqual(content)
      } finally {
        await other.close()
      }
    })

    test('is not filled with two rows in the place of one', async () => {
      const [{ row }] = newKey('a')
      const filling = await store.fill()
      try {
        await filling.rows('keys', [row])
        await expect(filling.rows('keys', [row])).rejects.toMatchObject({ code: 'bad_backup' })
      } finally {
        await filling.close()
      }
      expect(await store.rows('keys', { limit: 10 })).toEqual([])
    })
  })
}

/** A row of the table, its key, and the row after every other column has changed. */
function sampleOf(table: TableName) {
  const before = stored(sampleRow(table, 1, 1))
  const key = Object.fromEntries(tables[table].key.map((column) => [column, before[column]])) as never
  return { before, key, after: stored(sampleRow(table, 1, 2), 2) }
}
