/** Gathers what is known of a version, for the verdict of whether it can go. */

import { judge } from './destroy-verdict.ts'
import type { DestroyFacts, DestroyVerdict } from './destroy-verdict.ts'
import { everyRow } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import type { Keys } from './keys.ts'
import type { Caller } from './policy.ts'
import type { VersionRow } from './rows.ts'
import { readCluster } from './slots.ts'
import { versionStates } from './states.ts'
import type { Timekeeper } from './timekeeper.ts'
import { usesWithin } from './usage-counts.ts'
import type { UsageLog } from './usage.ts'
import type { Versions } from './versions.ts'

/** A copy of the database somewhere else. */
export interface KnownBackup {
  readonly backup: string
  readonly takenAt: number
  /** When it is deleted. */
  readonly expiresAt: number
  readonly hasExpired: boolean
  /** Whether somebody has it whole. One that nobody has may have left all the same. */
  readonly isConfirmed: boolean
}

export interface DestroyCheckOptions {
  readonly reads: RowReads
  readonly keys: Keys
  readonly versions: Versions
  readonly usage: UsageLog
  readonly time: Timekeeper
  readonly backups: () => Promise<readonly KnownBackup[]>
}

/** Whether a version can be destroyed without losing data. */
export async function checkDestroy(
  { reads, keys, versions, usage, time, backups }: DestroyCheckOptions,
  caller: Caller,
  key: string,
  number: number,
): Promise<DestroyVerdict & { checkedAt: number }> {
  const version = await versions.get(caller, key, number)
  const row = await keys.row(caller, key)
  const used = await usage.of(key, number)
  const now = await time.latest()
  const census = await everyRow(reads, 'census', { key })
  const [newest] = (await backups())
    .filter(({ isConfirmed, hasExpired }) => isConfirmed && !hasExpired)
    .toSorted((a, b) => b.takenAt - a.takenAt)
  // An imported version may be older than its counter, and than a backup without it.
  const since = Math.max(version.createdAt, row.createdAt)
  const { restoredAt } = await readCluster(reads)
  const verdict = judge({
    state: factOf(version),
    now,
    // What was used between a backup and its restoration was not counted.
    countedSince: Math.max(since, restoredAt ?? 0),
    usesIn30Days: usesWithin(used, 30, now),
    usesIn90Days: usesWithin(used, 90, now),
    lastUsedAt: used.total === 0 ? null : used.lastUsedAt,
    census: census.map(({ consumer, takenAt, counts }) => ({
      consumer,
      takenAt,
      wrappedKeys: counts?.find(([one]) => one === number)?.[1] ?? 0,
    })),
    exportedAt: row.exportedAt !== null && row.exportedAt >= version.createdAt ? row.exportedAt : null,
    backup: newest && { at: newest.takenAt, holdsVersion: holds(newest, { ...version, createdAt: since }) },
  })
  return { ...verdict, checkedAt: now }
}

/** The backups that still hold the seed of a version. */
export function holding(backups: readonly KnownBackup[], version: VersionRow): KnownBackup[] {
  return backups.filter((backup) => !backup.hasExpired && holds(backup, version))
}

function holds({ takenAt }: KnownBackup, { createdAt, state, stateChangedAt }: VersionRow): boolean {
  return takenAt >= createdAt && !(state === 'destroyed' && takenAt > stateChangedAt)
}

function factOf({ state }: VersionRow): DestroyFacts['state'] {
  if (state === 'destroyed') return 'destroyed'
  if (versionStates[state].wrap) return 'wraps'
  return versionStates[state].unwrapTakes === 'unwrap' ? 'unwraps' : 'at_rest'
}
