/** What every place where rows live must do, whichever it is. A source's own test calls it with a way to make one. */

import { randomUUID } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import type {
  Awaitable,
  DecidedPage,
  Page,
  RowReader,
  RowSource,
  StoredDataKey,
} from '../../src/sources/row-source.ts'
import { addsUp, newRunState, noCounts } from '../../src/sources/run-state.ts'
import type { RunState } from '../../src/sources/run-state.ts'
import { Directory } from '../support/migration.ts'

export interface SourceMaker {
  /** Puts rows there: ids 1, 2, …, each with a text. */
  fill(directory: Directory, values: readonly (string | null)[]): Awaitable<void>
  /** Opens it to be changed. */
  open(directory: Directory): Awaitable<RowSource>
  /** Opens what a run made of it. */
  read(directory: Directory): Awaitable<RowReader>
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

async function valuesOf(reader: RowReader): Promise<unknown[]> {
  const { rows } = await reader.read(undefined, unlimited)
  return rows.map(({ cells: [cell] }) => cell)
}

export function rowSourceContract(maker: SourceMaker): void {
  describe('reading', () => {
    test.each([1, 2, 3, 7, 100])('in order and whole, in pages of %i', async (maxRows) => {
      using directory = new Directory()
      const values = ['a', 'b', null, 'd', '', 'f', 'ü'].flatMap((value) => [value, value])
      await maker.fill(directory, values)
      const source = await maker.open(directory)
      const ids: string[] = []
      const cells: unknown[] = []
      let after: string | undefined
      for (let pages = 0; ; pages++) {
        expect(pages).toBeLessThan(20)
        const page = await source.read(after, { maxRows, maxBytes: 1e9 })
        expect(page.rows.length).toBeLessThanOrEqual(maxRows)
        ids.push(...page.rows.map(({ id }) => id))
        cells.push(...page.rows.map((row) => row.cells[0]))
        after = page.position
        if (page.isLast) break
      }
      expect(ids).toEqual(values.map((_, index) => String(index + 1)))
      expect(cells).toEqual(values)
      await source.close()
    })

    test('one row may be larger than a page', async () => {
      using directory = new Directory()
      await maker.fill(directory, ['x'.repeat(5000), 'y'.repeat(5000), 'z'])
      const source = await maker.open(directory)
      const first = await source.read(undefined, { maxRows: 10, maxBytes: 100 })
      expect(first.rows.map(({ id }) => id)).toEqual(['1'])
      expect(first.isLast).toBe(false)
      const second = await source.read(first.position, { maxRows: 10, maxBytes: 100 })
      expect(second.rows.map(({ id }) => id)).toEqual(['2'])
      await source.close()
    })

    test('nothing at all is one last page', async () => {
      using directory = new Directory()
      await maker.fill(directory, [])
      const source = await maker.open(directory)
      expect(await source.read(undefined, unlimited)).toMatchObject({ rows: [], isLast: true })
      await source.close()
    })
  })

  describe('a commit', () => {
    test('replaces what it lists, leaves the rest, counts both, and is there when opened again', async () => {
      using directory = new Directory()
      await maker.fill(directory, ['a', 'b', 'c', 'd', 'e', 'f'])
      const source = await maker.open(directory)
      const begun = newState(source)
      await source.begin(begun)
      const withKey = await source.addDataKey(begun, key)
      expect(withKey.dataKeys).toEqual([key.keyId])
      const first = await source.read(undefined, { maxRows: 4, maxBytes: 1e9 })
      const second = await source.read(first.position, unlimited)
      const after = await source.commit(withKey, [decide(first, [0, 2], 3), decide(second, [1])])
      expect(after).toMatchObject({ migrated: 3, conflicts: 0, runId: begun.runId })
      expect(after.counts).toMatchObject({ found: 6, migrated: 3, dead: 1, conflict: 0 })
      expect(addsUp({ ...after.counts, already: 2 })).toBe(true)
      expect(after.bytesAfter).toBeGreaterThanOrEqual(3 * record.length)
      expect(source.progressOf(after)).toBe((await source.size()).total)
      await source.retireDataKeys([key.keyId])
      const finished: RunState = { ...after, status: 'finished', finishedAt: after.updatedAt }
      await source.finish()
      await source.store(finished)
      await source.close()

      const reader = await maker.read(directory)
      expect(await valuesOf(reader)).toEqual([record, 'b', record, 'd', 'e', record])
      expect(await reader.latestRun()).toEqual(finished)
      expect(await Array.fromAsync(reader.deadLetters(begun.runId))).toEqual([
        { locator: first.rows[3]?.locator, format: 'jwe', keyId: 'k', code: 'cannot_open' },
      ])
      const stored = await reader.dataKey(key.keyId)
      expect(stored).toEqual({
        ...key,
        state: 'reading',
        messages: 3,
        bytes: 21,
        wrappedKey: stored?.wrappedKey,
      })
      expect(Buffer.from(stored?.wrappedKey ?? [])).toEqual(Buffer.from(key.wrappedKey))
      expect(await reader.dataKey('ff'.repeat(16))).toBeUndefined()
      await reader.close()
    })

    test('keeps what vouches for a data key, with the time it is for', async () => {
      using directory = new Directory()
      await maker.fill(directory, ['a'])
      const source = await maker.open(directory)
      const begun = newState(source)
      await source.begin(begun)
      const tag = Uint8Array.from({ length: 32 }, (_, index) => 255 - index)
      const vouched = { tag, createdAt: '2026-11-25T01:02:03.004Z' }
      const withKey = await source.addDataKey(begun, { ...key, vouched })
      await source.retireDataKeys([key.keyId])
      const page = await source.read(undefined, unlimited)
      const end = await source.commit(withKey, [decide(page, [0])])
      await source.finish()
      await source.store({ ...end, status: 'finished' })
      await source.close()
      const reader = await maker.read(directory)
      const stored = (await reader.dataKey(key.keyId))?.vouched
      expect({ ...stored, tag: [...(stored?.tag ?? [])] }).toEqual({ ...vouched, tag: [...tag] })
      await reader.close()
    })

    test('is where the next process goes on', async () => {
      using directory = new Directory()
      await maker.fill(directory, ['a', 'b', 'c', 'd'])
      const first = await maker.open(directory)
      const begun = newState(first)
      await first.begin(begun)
      const page = await first.read(undefined, { maxRows: 2, maxBytes: 1e9 })
      await first.commit(await first.addDataKey(begun, key), [decide(page, [0, 1])])
      await first.close()

      const second = await maker.open(directory)
      const state = await second.latestRun()
      expect(state).toMatchObject({
        runId: begun.runId,
        status: 'running',
        migrated: 2,
        dataKeys: [key.keyId],
      })
      if (state === undefined) throw new Error('no run')
      await second.begin(state)
      expect((await second.dataKey(key.keyId))?.state).toBe('reading')
      const rest = await second.read(state.position, unlimited)
      expect(rest.rows.map(({ id }) => id)).toEqual(['3', '4'])
      const end = await second.commit(state, [decide(rest, [0])])
      await second.finish()
      await second.store({ ...end, status: 'finished' })
      await second.close()
      const reader = await maker.read(directory)
      expect(await valuesOf(reader)).toEqual([record, record, record, 'd'])
      await reader.close()
    })

    test('a page of somebody else is a mistake', async () => {
      using directory = new Directory()
      await maker.fill(directory, ['a'])
      const source = await maker.open(directory)
      const state = newState(source)
      await source.begin(state)
      const { rows, position } = await source.read(undefined, unlimited)
      const foreign: Page = { rows, position, isLast: true }
      await expect((async () => await source.commit(state, [decide(foreign, [0])]))()).rejects.toThrow(
        RangeError,
      )
      await source.close()
    })
  })

  describe('what was replaced', () => {
    async function replaced(directory: Directory): Promise<RunState> {
      await maker.fill(directory, ['a', 'b', null, 'd'])
      const source = await maker.open(directory)
      const begun = newState(source)
      await source.begin(begun)
      const page = await source.read(undefined, unlimited)
      const after = await source.commit(await source.addDataKey(begun, key), [decide(page, [0, 3])])
      await source.finish()
      const finished: RunState = { ...after, status: 'finished', finishedAt: after.updatedAt }
      await source.store(finished)
      await source.close()
      return finished
    }

    test('is put back, step by step, and then there is nothing left', async () => {
      using directory = new Directory()
      const state = await replaced(directory)
      const source = await maker.open(directory)
      const begun: RunState = { ...state, status: 'rolling_back' }
      await source.store(begun)
      const step = await source.putBack(begun, (cell) => cell === record, undefined)
      expect(step).toMatchObject({ restored: 2, changed: 0, kept: [] })
      expect(await source.putBack(begun, (cell) => cell === record, step?.after)).toBeUndefined()
      await source.store({ ...begun, status: 'rolled_back' })
      await source.close()
      const reader = await maker.read(directory)
      expect(await valuesOf(reader)).toEqual(['a', 'b', null, 'd'])
      expect((await reader.runs()).map(({ status }) => status)).toEqual(['rolled_back'])
      // A wrapped key is never removed: a record somewhere may need it.
      expect((await reader.dataKey(key.keyId))?.keyId).toBe(key.keyId)
      await reader.close()
      // And it can be done again.
      const again = await maker.open(directory)
      await again.begin(newState(again))
      await again.close()
    })

    test('is forgotten by finalize', async () => {
      using directory = new Directory()
      const state = await replaced(directory)
      const source = await maker.open(directory)
      await source.finalize({ ...state, status: 'finalized' })
      await source.close()
      const second = await maker.open(directory)
      expect((await second.latestRun())?.status).toBe('finalized')
      expect(await second.putBack(state, (cell) => cell === record, undefined)).toBeUndefined()
      await second.close()
      const reader = await maker.read(directory)
      expect(await valuesOf(reader)).toEqual([record, 'b', null, record])
      await reader.close()
    })
  })

  test('a store alone keeps a state', async () => {
    using directory = new Directory()
    await maker.fill(directory, ['a'])
    const source = await maker.open(directory)
    const state = newState(source)
    await source.begin(state)
    const stopped: RunState = {
      ...state,
      status: 'stopped',
      counts: { ...noCounts, found: 9, dead: 9 },
      bytesBefore: 2 ** 40,
    }
    await source.store(stopped)
    await source.close()
    const again = await maker.open(directory)
    expect(await again.latestRun()).toEqual(stopped)
    await again.close()
  })

  test('one at a time, and a reader is no hindrance', async () => {
    using directory = new Directory()
    await maker.fill(directory, ['a'])
    const reader = await maker.read(directory)
    expect(await reader.isLocked()).toBe(false)
    const source = await maker.open(directory)
    expect(await reader.isLocked()).toBe(true)
    await expect((async () => await maker.open(directory))()).rejects.toThrow(/another run is at work/)
    await source.close()
    expect(await reader.isLocked()).toBe(false)
    await reader.close()
    const free = await maker.open(directory)
    await free.close()
  })
}
