import { randomUUID } from 'node:crypto'

import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startPostgres } from '../../../../test/postgres.ts'
import type { TestPostgres } from '../../../../test/postgres.ts'
import type { FleetTable, HeldRange } from '../../src/sources/fleet.ts'
import { openPostgresFleet } from '../../src/sources/postgres-fleet.ts'
import { openPostgresTable } from '../../src/sources/postgres-table.ts'
import type { DecidedPage, Page } from '../../src/sources/row-source.ts'
import { inRanges, newRunState } from '../../src/sources/run-state.ts'

const server = await startPostgres()
const limits = { maxRows: 100, maxBytes: 1_000_000 }

describe.skipIf('missing' in server)('ranges of a table of PostgreSQL', () => {
  const { url } = server as TestPostgres // not entered otherwise
  const options = { url, table: 't', columns: { own: ['v'], read: [] }, busyTimeoutMs: 1000 }
  const client = new Client({ connectionString: url })
  beforeAll(() => client.connect())
  afterAll(async () => {
    await client.end()
    await (server as TestPostgres)[Symbol.asyncDispose]()
  })
  // A key of two columns, in another order than they stand.
  beforeEach(async () => {
    await client.query(`
      DROP TABLE IF EXISTS t;
      CREATE TABLE t (v text, b bigint, a text, PRIMARY KEY (a, b));
      INSERT INTO t SELECT 'old', i % 4, 'k' || (i / 4) FROM generate_series(0, 9) AS i`)
  })

  async function begin(table: FleetTable, rangeRows: number): Promise<string> {
    const runId = randomUUID()
    const startedAt = new Date().toISOString()
    const run = newRunState({ runId, table: 't', column: 'v', dataset: 't', startedAt })
    const noLimits = { rowsPerSecond: undefined, bytesPerSecond: undefined }
    await table.begin(run, { configuration: {}, limits: noLimits, rangeRows })
    return runId
  }

  async function take(table: FleetTable, runId: string, number: number, holder: string, pass = 1) {
    return await table.take(runId, { pass, number, jobId: '', attempt: 0 }, holder)
  }

  async function taken(table: FleetTable, runId: string, number: number, holder: string): Promise<HeldRange> {
    const range = await take(table, runId, number, holder)
    if (range === undefined) throw new Error('not taken')
    return range
  }

  /** Everything on a page replaced. */
  function replaced(page: Page, by: string): DecidedPage {
    return {
      page,
      replacements: new Map(page.rows.map((_, index) => [index, by])),
      dead: [],
      seen: { found: page.rows.length, earlier: 0, already: 0, empty: 0, unauthenticated: 0 },
      keyId: undefined,
      plaintextBytes: 0,
    }
  }

  test.each([1, 3, 4, 5, 9, 10, 11])('cut every %i rows, all rows are in one range', async (rangeRows) => {
    const table = await openPostgresFleet(options, 'coordinator')
    try {
      const runId = await begin(table, rangeRows)
      await client.query("INSERT INTO t VALUES ('later', 0, 'z')")
      const { numbers } = await table.remaining(runId)
      const ids: string[] = []
      for (const number of numbers) {
        const range = await taken(table, runId, number, 'me')
        const page = await table.read(range, range.after, limits)
        expect(page.isLast).toBe(true)
        ids.push(...page.rows.map(({ id }) => id))
      }
      const { rows } = await client.query<{ a: string; b: string }>('SELECT a, b FROM t ORDER BY a, b')
      expect(ids).toEqual(rows.map(({ a, b }) => JSON.stringify([a, b])))
      expect(numbers.length).toBe(Math.floor(10 / rangeRows) + 1)
    } finally {
      await table.close()
    }
  })

  test('whoever takes a range goes on behind the last commit, and the one before commits nothing more', async () => {
    const table = await openPostgresFleet(options, 'coordinator')
    const other = await openPostgresFleet(options, 'member')
    try {
      const runId = await begin(table, 5)
      const slow = await taken(table, runId, 1, 'slow')
      const first = await table.read(slow, slow.after, { ...limits, maxRows: 2 })
      const second = await table.read(slow, first.position, limits)
      expect(await table.commit(slow, [replaced(first, 'by slow')], false)).toMatchObject([{ migrated: 2 }])

      const quick = await taken(other, runId, 1, 'quick')
      expect(quick.after).toBe(first.position)
      expect(await table.commit(slow, [replaced(second, 'by slow')], true)).toBeUndefined()
      const rest = await other.read(quick, quick.after, limits)
      expect(await other.commit(quick, [replaced(rest, 'by quick')], true)).toMatchObject([{ migrated: 3 }])
      expect(await take(table, runId, 1, 'slow')).toBeUndefined()
      expect(await take(table, runId, 2, 'slow', 2)).toBeUndefined()

      const { rows } = await client.query('SELECT v, count(*) FROM t GROUP BY v ORDER BY v')
      expect(rows).toEqual([
        { v: 'by quick', count: '3' },
        { v: 'by slow', count: '2' },
        { v: 'old', count: '5' },
      ])
      const state = await table.state()
      expect(state).toMatchObject({ ranges: 3, rangesDone: 1, run: { migrated: 5, counts: { found: 5 } } })
      await expect(table.endPass(runId, 10)).rejects.toThrow(/not at its end/)
    } finally {
      await other.close()
      await table.close()
    }
  })

  test('a pass that replaced something is followed by another one, which ends the run when it finds nothing', async () => {
    const table = await openPostgresFleet(options, 'coordinator')
    try {
      const runId = await begin(table, 100)
      const range = await taken(table, runId, 1, 'me')
      const page = await table.read(range, undefined, limits)
      await table.commit(range, [replaced(page, 'new')], true)
      const next = await table.endPass(runId, 10)
      expect(next).toMatchObject({ pass: 2, position: inRanges, status: 'running', migrated: 10 })
      const again = await take(table, runId, 1, 'me', 2)
      if (again === undefined) throw new Error('not taken')
      await table.commit(
        again,
        [
          {
            ...replaced(page, ''),
            replacements: new Map(),
            seen: { found: 10, earlier: 10, already: 0, empty: 0, unauthenticated: 0 },
          },
        ],
        true,
      )
      expect(await table.endPass(runId, 10)).toMatchObject({ pass: 2, status: 'finished', migrated: 10 })
      expect(await table.facts(runId)).toBeUndefined()
    } finally {
      await table.close()
    }
  })

  test('members and a run of one process keep each other out', async () => {
    const member = await openPostgresFleet(options, 'member')
    const another = await openPostgresFleet(options, 'member')
    await expect(openPostgresTable(options)).rejects.toThrow(/another run is at work/)
    await member.close()
    await another.close()
    const alone = await openPostgresTable(options)
    await expect(openPostgresFleet(options, 'member')).rejects.toThrow(/a run of one machine is at work/)
    await expect(openPostgresFleet(options, 'coordinator')).rejects.toThrow(/another run, or the coordinator/)
    await alone.close()
  })
})
