/**
 * When a key is rotated by itself. A schedule is an interval and the next time; both are kept in the database and
 * judged by its clock. What was missed while nobody looked is made good by one rotation, not by one for each tick.
 */

import { ServiceError } from './errors.ts'

const hourMs = 60 * 60 * 1000
const dayMs = 24 * hourMs

/** Shorter would make versions faster than wrapped keys can follow. */
export const minRotationMs = hourMs
/** Ten years: longer is never. */
export const maxRotationMs = 3650 * dayMs

/** Milliseconds; `nextAt` since 1970. */
export interface RotationSchedule {
  readonly everyMs: number
  readonly nextAt: number
}

/**
 * A schedule that begins now: its first tick is one interval away.
 *
 * @throws ServiceError `malformed_request` for an interval outside an hour and ten years, or of parts of a second.
 */
export function startSchedule(everyMs: number, now: number): RotationSchedule {
  if (!Number.isInteger(everyMs / 1000) || everyMs < minRotationMs || everyMs > maxRotationMs) {
    throw new ServiceError('malformed_request', 'a key is rotated every 3,600 to 315,360,000 seconds')
  }
  return { everyMs, nextAt: now + everyMs }
}

/** Whether a rotation is due. */
export function isDue({ nextAt }: RotationSchedule, now: number): boolean {
  return now >= nextAt
}

/** After the rotation of a tick that was due: the first tick of the same rhythm that is still to come. */
export function afterTick({ everyMs, nextAt }: RotationSchedule, now: number): RotationSchedule {
  const missed = Math.max(0, Math.floor((now - nextAt) / everyMs))
  return { everyMs, nextAt: nextAt + (missed + 1) * everyMs }
}

/** After a rotation by hand the rhythm begins anew: the version made just now is not replaced by the next tick. */
export function afterRotation({ everyMs }: RotationSchedule, now: number): RotationSchedule {
  return { everyMs, nextAt: now + everyMs }
}
