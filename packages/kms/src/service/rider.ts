/** What goes into the transaction of a change beside the change itself, and is decided where all writing is in turn. */

import type { AuditEvent } from './audit-entry.ts'
import type { Change } from './changes.ts'
import type { Caller } from './policy.ts'

export interface Ride {
  readonly changes: readonly Change[]
  /** Entries of the log, after that of the change. */
  readonly events?: readonly AuditEvent[]
}

export interface Rider {
  /** Whether it has to be written, even where nothing else is. */
  readonly isDue: boolean
  /**
   * Asked right before the transaction, and again when rows were not as it said.
   *
   * @throws ServiceError when the change must not be made.
   */
  plan(caller: Caller): Promise<Ride>
  /** What it said last is in the database. */
  arrived(): void
}

/** All that travel with a request. */
export function ridersOf({ principal, riders = [] }: Caller): readonly Rider[] {
  return [principal.tab, ...riders]
}

/** What they say, together. */
export async function planAll(riders: readonly Rider[], caller: Caller): Promise<Required<Ride>> {
  const changes: Change[] = []
  const events: AuditEvent[] = []
  for (const rider of riders) {
    const ride = await rider.plan(caller)
    changes.push(...ride.changes)
    events.push(...(ride.events ?? []))
  }
  return { changes, events }
}
