/** What every place where rows live must do, whichever it is. A source's own test calls it with a way to make one. */

import { randomUUID } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import type { DecidedPage, Page, RowReader, RowSource, StoredDataKey } from '../../src/sources/row-source.ts'
import { addsUp, newRunState, noCounts } from '../../src/sources/run-state.ts'
import type { RunState } from '../../src/sources/run-state.ts'
import { Directory } from '../support/migration.ts'

export interface SourceMaker {
  /** Puts rows there: ids 1, 2, …, each with a text. */
  fill(directory: Directory, values: readonly (string | null)[]): void
  /** Opens it to be changed. */
  open(directory: Directory): RowSource
  /** Opens what a run made of it. */
  read(directory: Directory): RowReader
}

const unlimited = { maxRows: 1000, maxBytes: 1e9 }
const record = 'TEhSAQ'.padEnd(160, 'A')

const key: StoredDataKey = {
  keyId: '0123456789abcdef0123456789abcdef',
  wrappedKey: Uint8Array.from({ length: 40 }, (_, index) => index),
  keyContext: { dataset: 'set', tenant: 'ä' },
  name: 'set',
  state: 'writing',
  messages: 0,
  bytes: 0,
}

function newState({ target }: RowReader): RunState {
  const startedAt = new Date().toISOString()
  return newRunState({
    runId: randomUUID(),
    table: target.table,
    column: target.column,
    dataset: 'set',
    startedAt,
  })
}

/** A page in which the rows at some indices are replaced, and one may be dead. */
function decide(page: Page, replaced: readonly number[], dead?: number): DecidedPage {
  const locator = dead === undefined ? undefined : page.rows[dead]?.locator
  return {
    page,
    replacements: new Map(replaced.map((index) => [index, record])),
    dead: locator === undefined ? [] : [{ locator, format: 'jwe', keyId: 'k', code: 'cannot_open' }],
    seen: { found: page.rows.length, earlier: 0, already: 0, empty: 0, unauthenticated: 0 },
    keyId: replaced.length === 0 ? undefined : key.keyId,
    plaintextBytes: 7 * replaced.length,
  }
}

function valuesOf(reader: RowReader): unknown[] {
  return reader.read(undefined, unlimited).rows.map(({ cells: [cell] }) => cell)
}

export function rowSourceContract(maker: SourceMaker): void {
  describe('reading', () => {
    test.each([1, 2, 3, 7, 100])('in order and whole, in pages of %i', (maxRows) => {
      using directory = new Directory()
      const values = ['a', 'b', null, 'd', '', 'f', 'ü'].flatMap((value) => [value, value])
      maker.fill(directory, values)
      const source = maker.open(directory)
      const ids: string[] = []
      const cells: unknown[] = []
      let after: string | undefined
      for (let pages = 0; ; pages++) {
        expect(pages).toBeLessThan(20)
        const page = source.read(after, { maxRows, maxBytes: 1e9 })
        expect(page.rows.length).toBeLessThanOrEqual(maxRows)
        ids.push(...page.rows.map(({ id }) => id))
        cells.push(...page.rows.map((row) => row.cells[0]))
        after = page.position
        if (page.isLast) break
      }
      expect(ids).toEqual(values.map((_, index) => String(index + 1)))
      expect(cells).toEqual(values)
      source.close()
    })

    test('one row may be larger than a page', () => {
      using directory = new Directory()
      maker.fill(directory, ['x'.repeat(5000), 'y'.repeat(5000), 'z'])
      const source = maker.open(directory)
      const first = source.read(undefined, { maxRows: 10, maxBytes: 100 })
      expect(first.rows.map(({ id }) => id)).toEqual(['1'])
      expect(first.isLast).toBe(false)
      const second = source.read(first.position, { maxRows: 10, maxBytes: 100 })
      expect(second.rows.map(({ id }) => id)).toEqual(['2'])
      source.close()
    })

    test('nothing at all is one last page', () => {
      using directory = new Directory()
      maker.fill(directory, [])
      const source = maker.open(directory)
      expect(source.read(undefined, unlimited)).toMatchObject({ rows: [], isLast: true })
      source.close()
    })
  })

  describe('a commit', () => {
    test('replaces what it lists, leaves the rest, counts both, and is there when opened again', () => {
      using directory = new Directory()
      maker.fill(directory, ['a', 'b', 'c', 'd', 'e', 'f'])
      const source = maker.open(directory)
      const begun = newState(source)
      source.begin(begun)
      const withKey = source.addDataKey(begun, key)
      expect(withKey.dataKeys).toEqual([key.keyId])
      const first = source.read(undefined, { maxRows: 4, maxBytes: 1e9 })
      const second = source.read(first.position, unlimited)
      const after = source.commit(withKey, [decide(first, [0, 2], 3), decide(second, [1])])
      expect(after).toMatchObject({ migrated: 3, conflicts: 0, runId: begun.runId })
      expect(after.counts).toMatchObject({ found: 6, migrated: 3, dead: 1, conflict: 0 })
      expect(addsUp({ ...after.counts, already: 2 })).toBe(true)
      expect(after.bytesAfter).toBeGreaterThanOrEqual(3 * record.length)
      expect(source.progressOf(after)).toBe(source.size().total)
      source.retireDataKeys([key.keyId])
      const finished: RunState = { ...after, status: 'finished', finishedAt: after.updatedAt }
      source.finish()
      source.store(finished)
      source.close()

      const reader = maker.read(directory)
      expect(valuesOf(reader)).toEqual([record, 'b', record, 'd', 'e', record])
      expect(reader.latestRun()).toEqual(finished)
      expect([...reader.deadLetters(begun.runId)]).toEqual([
        { locator: first.rows[3]?.locator, format: 'jwe', keyId: 'k', code: 'cannot_open' },
      ])
      const stored = reader.dataKey(key.keyId)
      expect(stored).toEqual({
        ...key,
        state: 'reading',
        messages: 3,
        bytes: 21,
        wrappedKey: stored?.wrappedKey,
      })
      expect(Buffer.from(stored?.wrappedKey ?? [])).toEqual(Buffer.from(key.wrappedKey))
      expect(reader.dataKey('ff'.repeat(16))).toBeUndefined()
      reader.close()
    })

    test('is where the next process goes on', () => {
      using directory = new Directory()
      maker.fill(directory, ['a', 'b', 'c', 'd'])
      const first = maker.open(directory)
      const begun = newState(first)
      first.begin(begun)
      const page = first.read(undefined, { maxRows: 2, maxBytes: 1e9 })
      first.commit(first.addDataKey(begun, key), [decide(page, [0, 1])])
      first.close()

      const second = maker.open(directory)
      const state = second.latestRun()
      expect(state).toMatchObject({
        runId: begun.runId,
        status: 'running',
        migrated: 2,
        dataKeys: [key.keyId],
      })
      if (state === undefined) throw new Error('no run')
      second.begin(state)
      expect(second.dataKey(key.keyId)?.state).toBe('reading')
      const rest = second.read(state.position, unlimited)
      expect(rest.rows.map(({ id }) => id)).toEqual(['3', '4'])
      const end = second.commit(state, [decide(rest, [0])])
      second.finish()
      second.store({ ...end, status: 'finished' })
      second.close()
      const reader = maker.read(directory)
      expect(valuesOf(reader)).toEqual([record, record, record, 'd'])
      reader.close()
    })

    test('a page of somebody else is a mistake', () => {
      using directory = new Directory()
      maker.fill(directory, ['a'])
      const source = maker.open(directory)
      const state = newState(source)
      source.begin(state)
      const { rows, position } = source.read(undefined, unlimited)
      const foreign: Page = { rows, position, isLast: true }
      expect(() => source.commit(state, [decide(foreign, [0])])).toThrow(RangeError)
      source.close()
    })
  })

  test('a store alone keeps a state', () => {
    using directory = new Directory()
    maker.fill(directory, ['a'])
    const source = maker.open(directory)
    const state = newState(source)
    source.begin(state)
    const stopped: RunState = {
      ...state,
      status: 'stopped',
      counts: { ...noCounts, found: 9, dead: 9 },
      bytesBefore: 2 ** 40,
    }
    source.store(stopped)
    source.close()
    const again = maker.open(directory)
    expect(again.latestRun()).toEqual(stopped)
    again.close()
  })

  test('one at a time, and a reader is no hindrance', () => {
    using directory = new Directory()
    maker.fill(directory, ['a'])
    const reader = maker.read(directory)
    expect(reader.isLocked()).toBe(false)
    const source = maker.open(directory)
    expect(reader.isLocked()).toBe(true)
    expect(() => maker.open(directory)).toThrow(/another run is at work/)
    source.close()
    expect(reader.isLocked()).toBe(false)
    reader.close()
    maker.open(directory).close()
  })
}
