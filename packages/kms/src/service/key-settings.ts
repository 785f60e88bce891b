/** What can be said of a key when it is made and later: checked, and turned into columns. */

import { ServiceError } from './errors.ts'
import { maxRotationMs } from './rotation-schedule.ts'
import type { KeyRow } from './rows.ts'

const dayMs = 24 * 60 * 60 * 1000

export const defaultDestroyWaitMs = 30 * dayMs
/** Unless a test configures less. */
export const minDestroyWaitMs = 7 * dayMs

/** Of a new key. */
export interface KeySettings {
  readonly rewrapTo?: readonly string[] | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** Null: by hand only. */
  readonly rotateEveryMs?: number | null | undefined
  readonly destroyAfterMs?: number | undefined
  readonly exportable?: boolean | undefined
  readonly issuedOnly?: boolean | undefined
}

/** Of a key of which nothing is said. */
export const unsaidSettings: Protection = {
  rewrapTo: [],
  exportable: false,
  issuedOnly: false,
  minUnwrapVersion: 1,
  destroyAfterMs: defaultDestroyWaitMs,
  enabled: true,
}

type Protection = Pick<
  KeyRow,
  'enabled' | 'rewrapTo' | 'exportable' | 'issuedOnly' | 'minUnwrapVersion' | 'destroyAfterMs'
>

export interface KeyChanges extends KeySettings {
  readonly enabled?: boolean | undefined
  readonly minUnwrapVersion?: number | undefined
}

/**
 * The columns that change; what is not said stays.
 *
 * @throws ServiceError `malformed_request`; `invalid_state` for a minimum above the primary.
 */
export function changedColumns(changes: KeyChanges, row: KeyRow, shortestWaitMs: number): Partial<KeyRow> {
  const { rewrapTo, labels, destroyAfterMs, exportable, issuedOnly, enabled, minUnwrapVersion } = changes
  if (destroyAfterMs !== undefined) checkWait(destroyAfterMs, shortestWaitMs)
  if (minUnwrapVersion !== undefined && minUnwrapVersion > row.primaryVersion) {
    const primary = `the primary of ${row.key} is version ${row.primaryVersion}`
    throw new ServiceError('invalid_state', `${primary}: a minimum above it would stop the key`)
  }
  return {
    ...(rewrapTo === undefined ? {} : { rewrapTo: [...new Set(rewrapTo)] }),
    ...(labels === undefined ? {} : { labels }),
    ...(destroyAfterMs === undefined ? {} : { destroyAfterMs }),
    ...(exportable === undefined ? {} : { exportable }),
    ...(issuedOnly === undefined ? {} : { issuedOnly }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(minUnwrapVersion === undefined ? {} : { minUnwrapVersion }),
  }
}

/**
 * Whether less protects the key afterwards: it, or its data keys, may go where they could not, or it is destroyed
 * sooner.
 */
export function loosens(changes: KeyChanges, row: Protection): boolean {
  const { rewrapTo = [], destroyAfterMs, exportable, issuedOnly, enabled, minUnwrapVersion } = changes
  return (
    (enabled === true && !row.enabled) ||
    rewrapTo.some((target) => !row.rewrapTo.includes(target)) ||
    (exportable === true && !row.exportable) ||
    (issuedOnly === false && row.issuedOnly) ||
    (minUnwrapVersion !== undefined && minUnwrapVersion < row.minUnwrapVersion) ||
    (destroyAfterMs !== undefined && destroyAfterMs < row.destroyAfterMs)
  )
}

function checkWait(waitMs: number, shortestMs: number): void {
  if (Number.isSafeInteger(waitMs) && waitMs >= shortestMs && waitMs <= maxRotationMs) return
  throw new ServiceError(
    'malformed_request',
    `a destruction waits ${shortestMs / 1000} to ${maxRotationMs / 1000} seconds`,
  )
}
