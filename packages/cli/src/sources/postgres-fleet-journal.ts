/** A fleet in a PostgreSQL database: its settings, its ranges and its members. */

import type { ClientBase } from 'pg'

import type { FleetFacts, FleetMember, FleetSettings, Range } from './fleet.ts'
import { goneAfterS } from './fleet.ts'
import { addTally, inRanges, noTally } from './run-state.ts'
import type { RunState, Tally } from './run-state.ts'

const schema: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS longhold_fleet (
  run_id text PRIMARY KEY REFERENCES longhold_run (run_id),
  settings text NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  held_until timestamptz NOT NULL DEFAULT '-infinity'
)`,
  `CREATE TABLE IF NOT EXISTS longhold_fleet_ranges (
  run_id text NOT NULL REFERENCES longhold_run (run_id),
  pass bigint NOT NULL,
  number bigint NOT NULL,
  position text,
  until text,
  holder text,
  done boolean NOT NULL DEFAULT false,
  tally text NOT NULL,
  PRIMARY KEY (run_id, number)
)`,
  `CREATE TABLE IF NOT EXISTS longhold_fleet_members (
  run_id text NOT NULL REFERENCES longhold_run (run_id),
  member_id text NOT NULL,
  name text NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (run_id, member_id)
)`,
]

/** The journal's own tables are there, and their lock is held. */
export async function makeFleetTables(client: ClientBase): Promise<void> {
  for (const statement of schema) await client.query(statement)
}

export async function hasFleetTables(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>(
    "SELECT to_regclass('longhold_fleet_members') IS NOT NULL AS there",
  )
  return rows[0]?.there === true
}

export type StoredFacts = FleetFacts & Pick<FleetSettings, 'rangeRows'>

export async function fleetFacts(client: ClientBase, runId: string): Promise<StoredFacts | undefined> {
  const { rows } = await client.query<{ settings: string; paused: boolean }>(
    'SELECT settings, paused OR held_until > now() AS paused FROM longhold_fleet WHERE run_id = $1',
    [runId],
  )
  const [row] = rows
  if (row === undefined) return undefined
  const { rows: members } = await client.query<{ member_id: string; name: string }>(
    `SELECT member_id, name FROM longhold_fleet_members
      WHERE run_id = $1 AND seen_at > now() - $2 * interval '1 second' ORDER BY name, member_id`,
    [runId, goneAfterS],
  )
  // Written by saveFleet; what is undefined is not in JSON.
  const { configuration, limits, rangeRows } = JSON.parse(row.settings) as FleetSettings
  return {
    configuration,
    limits,
    rangeRows,
    isPaused: row.paused,
    members: members.map(({ member_id: id, name }) => ({ id, name })),
  }
}

export async function saveFleet(client: ClientBase, runId: string, settings: FleetSettings): Promise<void> {
  await client.query(
    `INSERT INTO longhold_fleet (run_id, settings) VALUES ($1, $2)
     ON CONFLICT (run_id) DO UPDATE SET settings = excluded.settings`,
    [runId, JSON.stringify(settings)],
  )
}

export async function setPaused(client: ClientBase, runId: string, isPaused: boolean): Promise<void> {
  await client.query('UPDATE longhold_fleet SET paused = $2 WHERE run_id = $1', [runId, isPaused])
}

export async function setHeld(client: ClientBase, runId: string, seconds: number): Promise<void> {
  await client.query(
    `UPDATE longhold_fleet SET held_until = now() + $2 * interval '1 second' WHERE run_id = $1`,
    [runId, seconds],
  )
}

export async function replaceRanges(
  client: ClientBase,
  { runId, pass }: Pick<RunState, 'runId' | 'pass'>,
  ranges: readonly Range[],
): Promise<void> {
  await client.query('DELETE FROM longhold_fleet_ranges WHERE run_id = $1', [runId])
  await client.query(
    `INSERT INTO longhold_fleet_ranges (run_id, pass, number, position, until, tally)
     SELECT $1, $6, *, $5 FROM unnest($2::int8[], $3::text[], $4::text[])`,
    [
      runId,
      ranges.map(({ number }) => number),
      ranges.map(({ after }) => after ?? null),
      ranges.map(({ until }) => until ?? null),
      JSON.stringify(noTally),
      pass,
    ],
  )
}

export interface RangeRow {
  readonly number: string
  readonly position: string | null
  readonly until: string | null
  readonly done: boolean
  readonly tally: string
}

/** In their order. */
export async function rangesOf(client: ClientBase, runId: string): Promise<RangeRow[]> {
  const { rows } = await client.query<RangeRow>(
    'SELECT number, position, until, done, tally FROM longhold_fleet_ranges WHERE run_id = $1 ORDER BY number',
    [runId],
  )
  return rows
}

/** Runs with what their ranges have so far. */
export async function withRanges(client: ClientBase, runs: readonly RunState[]): Promise<RunState[]> {
  const whole: RunState[] = []
  for (const run of runs) {
    const ranges = run.position === inRanges ? await rangesOf(client, run.runId) : []
    whole.push(ranges.reduce((sum, range) => addTally(sum, tallyOf(range)), run))
  }
  return whole
}

export function tallyOf({ tally }: Pick<RangeRow, 'tally'>): Tally {
  return JSON.parse(tally) as Tally // written by saveRange or replaceRanges
}

/** Waits for the commit of whoever holds it: after this, that one commits nothing more. */
export async function takeRange(
  client: ClientBase,
  { runId, pass, number, holder }: Held,
): Promise<RangeRow | undefined> {
  const { rows } = await client.query<RangeRow>(
    `UPDATE longhold_fleet_ranges SET holder = $3 WHERE run_id = $1 AND number = $2 AND pass = $4 AND NOT done
     RETURNING number, position, until, done, tally`,
    [runId, number, holder, pass],
  )
  return rows[0]
}

interface Held {
  readonly runId: string
  readonly pass: number
  readonly number: number
  readonly holder: string
}

export async function releaseRange(client: ClientBase, { runId, number, holder }: Held): Promise<void> {
  await client.query(
    'UPDATE longhold_fleet_ranges SET holder = NULL WHERE run_id = $1 AND number = $2 AND holder = $3',
    [runId, number, holder],
  )
}

/** A range that is still ours, kept so until the transaction ends; undefined: it is not. */
export async function lockRange(
  client: ClientBase,
  { runId, pass, number, holder }: Held,
): Promise<RangeRow | undefined> {
  const { rows } = await client.query<RangeRow>(
    `SELECT number, position, until, done, tally FROM longhold_fleet_ranges
      WHERE run_id = $1 AND number = $2 AND holder = $3 AND pass = $4 AND NOT done FOR UPDATE`,
    [runId, number, holder, pass],
  )
  return rows[0]
}

export async function saveRange(
  client: ClientBase,
  { runId, number }: Held,
  { position, isDone, tally }: { readonly position: string; readonly isDone: boolean; readonly tally: Tally },
): Promise<void> {
  await client.query(
    'UPDATE longhold_fleet_ranges SET position = $3, done = $4, tally = $5 WHERE run_id = $1 AND number = $2',
    [runId, number, position, isDone, JSON.stringify(tally)],
  )
}

export async function saveMember(
  client: ClientBase,
  runId: string,
  { id, name }: FleetMember,
): Promise<void> {
  await client.query(
    `INSERT INTO longhold_fleet_members VALUES ($1, $2, $3, now())
     ON CONFLICT (run_id, member_id) DO UPDATE SET seen_at = excluded.seen_at`,
    [runId, id, name],
  )
}

export async function removeMember(client: ClientBase, runId: string, { id }: FleetMember): Promise<void> {
  await client.query('DELETE FROM longhold_fleet_members WHERE run_id = $1 AND member_id = $2', [runId, id])
}

/** A run that has ended, or goes on as one of a single process. */
export async function forgetFleet(client: ClientBase, runId: string): Promise<void> {
  for (const table of ['longhold_fleet_members', 'longhold_fleet_ranges', 'longhold_fleet']) {
    await client.query(`DELETE FROM ${table} WHERE run_id = $1`, [runId])
  }
}
