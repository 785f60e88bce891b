/** A table of PostgreSQL that a fleet works on: ranges, settings and members are tables beside it. */

import type { ClientBase } from 'pg'

import type {
  FleetFacts,
  FleetMember,
  FleetSettings,
  FleetState,
  FleetTable,
  HeldRange,
  Plan,
  QueuedRange,
  Range,
} from './fleet.ts'
import * as fleet from './postgres-fleet-journal.ts'
import * as journal from './postgres-journal.ts'
import { boundarySql, decodeKey, encodeKey } from './postgres-rows.ts'
import { openTableOfPostgres } from './postgres-table.ts'
import type { PostgresTable, PostgresTableOptions } from './postgres-table.ts'
import type { DecidedPage, Page, PageLimits, StoredDataKey } from './row-source.ts'
import { addTally, addsUp, afterPage, inRanges, isUnfinished, noCounts } from './run-state.ts'
import type { PageOutcome, RunState, Tally } from './run-state.ts'

/**
 * @param kind `coordinator`: the only one that plans. `onlooker`: holds no lock.
 * @throws Problem `stopped` when a run of one process, or another coordinator, is at work on the table.
 */
export async function openPostgresFleet(
  options: PostgresTableOptions,
  kind: 'coordinator' | 'member' | 'onlooker',
): Promise<FleetTable> {
  return new PostgresFleet(await openTableOfPostgres(options, kind === 'onlooker' ? undefined : kind))
}

class PostgresFleet implements FleetTable {
  readonly rows: PostgresTable

  constructor(rows: PostgresTable) {
    this.rows = rows
  }

  async state(): Promise<FleetState | undefined> {
    return await this.rows.look(async (client) => {
      const run = await this.#latest(client)
      if (run === undefined || !isUnfinished(run) || run.position !== inRanges) return undefined
      const facts = await fleet.fleetFacts(client, run.runId)
      if (facts === undefined) return undefined
      const ranges = await fleet.rangesOf(client, run.runId)
      return {
        ...facts,
        run: sumOf(run, ranges),
        ranges: ranges.length,
        rangesDone: ranges.filter(({ done }) => done).length,
      }
    })
  }

  async facts(runId: string): Promise<FleetFacts | undefined> {
    return await this.rows.look((client) => fleet.fleetFacts(client, runId))
  }

  async begin(run: RunState, settings: FleetSettings): Promise<void> {
    await this.rows.change(async (client) => {
      await journal.makeJournal(client)
      await fleet.makeFleetTables(client)
      await fleet.forgetFleet(client, run.runId)
      await journal.retireDataKeys(client, run.dataKeys)
      const state: RunState = { ...run, status: 'running', counts: noCounts }
      await this.#beginPass(client, state, settings.rangeRows)
      await fleet.saveFleet(client, run.runId, settings)
    })
  }

  async goOn(runId: string, settings: FleetSettings): Promise<void> {
    await this.rows.change((client) => fleet.saveFleet(client, runId, settings))
  }

  async remaining(runId: string): Promise<Plan> {
    return await this.rows.look(async (client) => {
      const run = await this.#latest(client)
      const ranges = await fleet.rangesOf(client, runId)
      const numbers = ranges.filter(({ done }) => !done).map(({ number }) => Number(number))
      return { runId, pass: run?.pass ?? 0, numbers }
    })
  }

  async endPass(runId: string, lastPass: number): Promise<RunState> {
    return await this.rows.change(async (client) => {
      await journal.lockRun(client, runId)
      const run = await this.#latest(client)
      const facts = await fleet.fleetFacts(client, runId)
      const ranges = await fleet.rangesOf(client, runId)
      if (run?.runId !== runId || facts === undefined || ranges.some(({ done }) => !done)) {
        throw new Error('a pass that is not at its end')
      }
      const whole = sumOf(run, ranges)
      const { counts, pass } = whole
      if (!addsUp(counts)) throw new Error(`pass ${pass} does not add up: ${JSON.stringify(counts)}`)
      const isQuiet = counts.migrated === 0 && counts.conflict === 0
      const now = new Date().toISOString()
      if (!isQuiet && pass < lastPass) {
        const next = { ...whole, pass: pass + 1, counts: noCounts, updatedAt: now }
        return await this.#beginPass(client, next, facts.rangeRows)
      }
      const end: RunState = {
        ...whole,
        status: isQuiet ? 'finished' : 'stopped',
        position: undefined,
        updatedAt: now,
        finishedAt: isQuiet ? now : undefined,
      }
      await journal.retireDataKeys(client, end.dataKeys)
      await journal.saveRun(client, end)
      await fleet.forgetFleet(client, runId)
      return end
    })
  }

  async hold(runId: string, seconds: number): Promise<void> {
    await this.rows.change((client) => fleet.setHeld(client, runId, seconds))
  }

  async pause(runId: string, isPaused: boolean): Promise<void> {
    await this.rows.change((client) => fleet.setPaused(client, runId, isPaused))
  }

  async take(runId: string, { pass, number }: QueuedRange, holder: string): Promise<HeldRange | undefined> {
    return await this.rows.change(async (client) => {
      const row = await fleet.takeRange(client, { runId, pass, number, holder })
      if (row === undefined) return undefined
      const { position, until } = row
      return { runId, pass, number, holder, after: position ?? undefined, until: until ?? undefined }
    })
  }

  async release(range: HeldRange): Promise<void> {
    await this.rows.change((client) => fleet.releaseRange(client, range))
  }

  async read({ until }: Range, after: string | undefined, limits: PageLimits): Promise<Page> {
    return await this.rows.readRange({ after, until }, limits)
  }

  async commit(
    range: HeldRange,
    pages: readonly DecidedPage[],
    isDone: boolean,
  ): Promise<readonly PageOutcome[] | undefined> {
    return await this.rows.change(async (client) => {
      // Locked first: whoever takes the range meanwhile waits, and goes on behind this commit.
      const row = await fleet.lockRange(client, range)
      if (row === undefined) return undefined
      const run = await journal.keepsOriginals(client, range.runId)
      const outcomes: PageOutcome[] = []
      let part = partOf(row)
      for (const page of pages) {
        const outcome = await this.rows.pages.write(client, run, page)
        part = afterPage(part, page, outcome)
        outcomes.push(outcome)
      }
      await fleet.saveRange(client, range, { position: part.position ?? '', isDone, tally: tallyIn(part) })
      return outcomes
    })
  }

  async addDataKey(runId: string, key: StoredDataKey): Promise<void> {
    await this.rows.change(async (client) => {
      await journal.addDataKey(client, key, new Date().toISOString())
      await journal.addKeyOfRun(client, runId, key.keyId)
    })
  }

  async beat(runId: string, member: FleetMember): Promise<void> {
    await this.rows.change((client) => fleet.saveMember(client, runId, member))
  }

  async leave(runId: string, member: FleetMember): Promise<void> {
    await this.rows.change((client) => fleet.removeMember(client, runId, member))
  }

  async close(): Promise<void> {
    await this.rows.close()
  }

  /** As it is written, without what the ranges of the pass have. */
  async #latest(client: ClientBase): Promise<RunState | undefined> {
    const { table, column } = this.rows.target
    return (await journal.runsOn(client, table, column))[0]
  }

  async #beginPass(client: ClientBase, run: RunState, rangeRows: number): Promise<RunState> {
    const state: RunState = { ...run, position: inRanges }
    await journal.saveRun(client, state)
    await journal.clearDead(client, state.runId)
    await fleet.replaceRanges(client, state, await this.#cut(client, rangeRows))
    return state
  }

  /** By walking the index of the key: every so many rows a range ends. Rows added at the end are in the last one. */
  async #cut(client: ClientBase, rangeRows: number): Promise<Range[]> {
    const ranges: Range[] = []
    let after: string | undefined
    for (let number = 1; ; number++) {
      const sql = boundarySql(this.rows.shape, after !== undefined)
      const { rows } = await client.query<{ key: readonly string[] }>(sql, [
        rangeRows - 1,
        ...(after === undefined ? [] : decodeKey(after)),
      ])
      const [last] = rows
      const until = last && encodeKey(last)
      ranges.push({ number, after, until })
      if (until === undefined) return ranges
      after = until
    }
  }
}

function sumOf(run: RunState, ranges: readonly fleet.RangeRow[]): RunState {
  return ranges.reduce((sum, range) => addTally(sum, fleet.tallyOf(range)), run)
}

type Part = Tally & Pick<RunState, 'position'>

function partOf(row: fleet.RangeRow): Part {
  return { ...fleet.tallyOf(row), position: row.position ?? undefined }
}

function tallyIn(part: Part): Tally {
  const { counts, migrated, conflicts, unauthenticated, kinds, bytesBefore, bytesAfter } = part
  return { counts, migrated, conflicts, unauthenticated, kinds, bytesBefore, bytesAfter }
}
