/** Keys and versions as answers show them. */

import { toBase64url } from '@longhold/core'
import type { KeyInfo, VersionInfo } from '@longhold/core/kms'
import type { Context } from 'hono'

import type { KeyChanges } from '../service/key-settings.ts'
import type { KeySummary } from '../service/keys.ts'
import type { VersionRow } from '../service/rows.ts'
import { suiteName } from '../service/suites.ts'
import { time, timeOrNull } from './documents.ts'
import type { Env } from './env.ts'
import { tagGeneration } from './preconditions.ts'

/** With its generation as the answer's tag. */
export function taggedKey(c: Context<Env>, row: KeySummary): KeyInfo {
  tagGeneration(c, row.generation)
  return describeKey(row)
}

export function describeKey(row: KeySummary): KeyInfo {
  const { schedule } = row
  return {
    key: row.key,
    purpose: row.purpose,
    suite: suiteName(row.kemId),
    enabled: row.enabled,
    primary_version: row.primaryVersion,
    version_count: row.latestVersion,
    min_unwrap_version: row.minUnwrapVersion,
    generation: row.generation,
    labels: { ...row.labels },
    rewrap_to: [...row.rewrapTo],
    rotation: schedule && { every_seconds: schedule.everyMs / 1000, next_at: time(schedule.nextAt) },
    destroy_after_seconds: row.destroyAfterMs / 1000,
    exportable: row.exportable,
    exported_at: timeOrNull(row.exportedAt),
    imported: row.imported,
    issued_only: row.issuedOnly,
    created_at: time(row.createdAt),
    rotated_at: timeOrNull(row.rotatedAt),
  }
}

export function describeVersion(row: VersionRow): VersionInfo {
  return {
    version: row.version,
    state: row.state,
    recipient_id: toBase64url(row.recipientId),
    created_at: time(row.createdAt),
    state_changed_at: time(row.stateChangedAt),
    destroy_at: timeOrNull(row.destroyAt),
  }
}

/** What a request says of a key, in the units of the service. */
export function settingsOf(request: {
  rewrap_to?: string[] | undefined
  labels?: Record<string, string> | undefined
  rotate_every_seconds?: number | null | undefined
  destroy_after_seconds?: number | undefined
  exportable?: boolean | undefined
  issued_only?: boolean | undefined
}): KeyChanges {
  const { rotate_every_seconds: rotate, destroy_after_seconds: destroy } = request
  return {
    rewrapTo: request.rewrap_to,
    labels: request.labels,
    rotateEveryMs: typeof rotate === 'number' ? rotate * 1000 : rotate,
    destroyAfterMs: destroy === undefined ? undefined : destroy * 1000,
    exportable: request.exportable,
    issuedOnly: request.issued_only,
  }
}
