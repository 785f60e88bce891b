/** What a version may do in each state, and what it may become: one table. */

import type { Permission, VersionState } from '@longhold/core/kms'

import { ServiceError } from './errors.ts'

/** What an unwrap takes: reading what was wrapped for a compromised version is a decision of its own. */
export type UnwrapPermission = Extract<Permission, 'unwrap' | 'unwrap.compromised'>

interface StateRow {
  /** New data keys are wrapped for it. */
  readonly wrap: boolean
  /** The permission an unwrap takes; null: nobody unwraps. */
  readonly unwrapTakes: UnwrapPermission | null
  readonly rewrapFrom: boolean
  readonly mayBecome: readonly VersionState[]
}

export const versionStates: Readonly<Record<VersionState, StateRow>> = {
  pending: { wrap: false, unwrapTakes: null, rewrapFrom: false, mayBecome: ['primary', 'disabled'] },
  // To `unwrap_only` by rotation alone, to `compromised` with a new primary: there is always exactly one.
  primary: { wrap: true, unwrapTakes: 'unwrap', rewrapFrom: true, mayBecome: ['unwrap_only', 'compromised'] },
  unwrap_only: {
    wrap: false,
    unwrapTakes: 'unwrap',
    rewrapFrom: true,
    mayBecome: ['primary', 'disabled', 'compromised'],
  },
  disabled: {
    wrap: false,
    unwrapTakes: null,
    rewrapFrom: false,
    mayBecome: ['unwrap_only', 'compromised', 'destroy_scheduled'],
  },
  compromised: {
    wrap: false,
    unwrapTakes: 'unwrap.compromised',
    rewrapFrom: true,
    mayBecome: ['destroy_scheduled'],
  },
  destroy_scheduled: {
    wrap: false,
    unwrapTakes: null,
    rewrapFrom: false,
    mayBecome: ['disabled', 'destroyed'],
  },
  destroyed: { wrap: false, unwrapTakes: null, rewrapFrom: false, mayBecome: [] },
}

/** The states in which a version unwraps for somebody: readers know it by these, and are told why when they may not. */
export const unwrappingStates: readonly VersionState[] = statesThat((row) => row.unwrapTakes !== null)

/** @throws ServiceError `invalid_state`, naming both states and what would be legal. */
export function checkTransition(from: VersionState, to: VersionState): void {
  const { mayBecome } = versionStates[from]
  if (mayBecome.includes(to)) return
  const legal = mayBecome.length === 0 ? 'it stays so for ever' : `it may become ${mayBecome.join(', ')}`
  throw new ServiceError('invalid_state', `a version that is ${from} cannot become ${to}; ${legal}`)
}

function statesThat(may: (row: StateRow) => boolean): VersionState[] {
  // The keys of the table are exactly the states.
  return (Object.keys(versionStates) as VersionState[]).filter((state) => may(versionStates[state]))
}
