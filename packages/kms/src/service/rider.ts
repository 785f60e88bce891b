/** What goes into the transaction of a change beside the change itself, and is decided where all writing is in turn. */

import type { Change } from './changes.ts'

export interface Ride {
  readonly changes: readonly Change[]
  /** What the log says of it, beside the change. */
  readonly uses?: readonly GrantUse[]
}

/** One use of a grant for a number of requests. */
export interface GrantUse {
  readonly principal: string
  readonly grant: string
}

export interface Rider {
  /** Whether it has to be written, even where nothing else is. */
  readonly isDue: boolean
  /**
   * Asked right before the transaction, and again when rows were not as it said.
   *
   * @throws ServiceError when the change must not be made.
   */
  plan(): Promise<Ride>
  /**
   * Asked at the moment of the transaction: nothing that is written meanwhile, by whichever node, escapes it.
   *
   * @throws ServiceError when the change must not be made.
   */
  check?(): Promise<void>
  /** What it said last is in the database. */
  arrived(): void
}

/** Whose request they travel with. */
interface Riding {
  readonly principal: { readonly tab: Rider }
  readonly riders?: readonly Rider[]
}

/** All that travel with a request. */
export function ridersOf({ principal, riders = [] }: Riding): readonly Rider[] {
  return [principal.tab, ...riders]
}

/** What they say, together. */
export async function planAll(riders: readonly Rider[]): Promise<Required<Ride>> {
  const changes: Change[] = []
  const uses: GrantUse[] = []
  for (const rider of riders) {
    const ride = await rider.plan()
    changes.push(...ride.changes)
    uses.push(...(ride.uses ?? []))
  }
  return { changes, uses }
}

/** @throws ServiceError what one of them does. */
export async function checkAll(riders: readonly Rider[]): Promise<void> {
  for (const rider of riders) await rider.check?.()
}

/** The caller, whose change is made only if `check` does not throw at the moment of its transaction. */
export function checking<C extends Riding>(caller: C, check: () => Promise<void>): C {
  const rider: Rider = { isDue: false, plan: async () => ({ changes: [] }), check, arrived: () => undefined }
  return { ...caller, riders: [...(caller.riders ?? []), rider] }
}
