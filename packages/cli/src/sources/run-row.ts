/** A run as a row of the table `longhold_run`, the same in every database. */

import { newRunState } from './run-state.ts'
import type { PassCounts, RunState, RunStatus } from './run-state.ts'

export interface RunRow extends Readonly<Record<keyof PassCounts, number>> {
  readonly run_id: string
  readonly table_name: string
  readonly column_name: string
  readonly dataset: string
  readonly status: RunState['status']
  /** 1 or 0. */
  readonly keeps_originals: number
  readonly pass: number
  readonly position: string | null
  readonly migrated_all_passes: number
  readonly conflicts_all_passes: number
  readonly unauthenticated_all_passes: number
  readonly bytes_before: number
  readonly bytes_after: number
  /** JSON. */
  readonly kinds: string
  /** JSON. */
  readonly data_keys: string
  /** ISO 8601, UTC. */
  readonly started_at: string
  readonly updated_at: string
  readonly finished_at: string | null
}

export function rowOf(state: RunState): RunRow {
  return {
    run_id: state.runId,
    table_name: state.table,
    column_name: state.column,
    dataset: state.dataset,
    status: state.status,
    keeps_originals: state.keepsOriginals ? 1 : 0,
    pass: state.pass,
    position: state.position ?? null,
    ...state.counts,
    migrated_all_passes: state.migrated,
    conflicts_all_passes: state.conflicts,
    unauthenticated_all_passes: state.unauthenticated,
    bytes_before: state.bytesBefore,
    bytes_after: state.bytesAfter,
    kinds: JSON.stringify(state.kinds),
    data_keys: JSON.stringify(state.dataKeys),
    started_at: state.startedAt,
    updated_at: state.updatedAt,
    finished_at: state.finishedAt ?? null,
  }
}

export function stateOf(row: RunRow): RunState {
  const { found, migrated, earlier, already, dead, conflict, empty } = row
  return {
    runId: row.run_id,
    table: row.table_name,
    column: row.column_name,
    dataset: row.dataset,
    status: row.status,
    keepsOriginals: row.keeps_originals === 1,
    pass: row.pass,
    position: row.position ?? undefined,
    counts: { found, migrated, earlier, already, dead, conflict, empty },
    migrated: row.migrated_all_passes,
    conflicts: row.conflicts_all_passes,
    unauthenticated: row.unauthenticated_all_passes,
    bytesBefore: row.bytes_before,
    bytesAfter: row.bytes_after,
    // Both written by rowOf.
    kinds: JSON.parse(row.kinds) as Record<string, number>,
    dataKeys: JSON.parse(row.data_keys) as string[],
    startedAt: row.started_at,
    updatedAt: row.updated_at,
    finishedAt: row.finished_at ?? undefined,
  }
}

/** The columns of the table, in the order in which they are written. */
export const runColumns: readonly (keyof RunRow)[] = Object.keys(
  rowOf(newRunState({ runId: '', table: '', column: '', dataset: '', startedAt: '' })),
) as (keyof RunRow)[] // rowOf makes no others

/** For a CHECK of the column. */
export const runStatuses: readonly RunStatus[] = [
  'running',
  'stopped',
  'finished',
  'rolling_back',
  'rolled_back',
  'finalized',
]
