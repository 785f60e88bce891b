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
  /**
   * Asked at the moment of the transaction: nothing that is written meanwhile, by whichever node, escapes it.
   *
   * @throws ServiceError when the change must not be made.
   */
  check?(): Promise<void>
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

/** @throws ServiceError what one of them does. */
export async function checkAll(riders: readonly Rider[]): Promise<void> {
  for (const rider of riders) await rider.check?.()
}

/** The caller, whose change is made only if `check` does not throw at the moment of its transaction. */
export function checking(caller: Caller, check: () => Promise<void>): Caller {
  const rider: Rider = { isDue: false, plan: async () => ({ changes: [] }), check, arrived: () => undefined }
  return { ...caller, riders: [...(caller.riders ?? []), rider] }
}
