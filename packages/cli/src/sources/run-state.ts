/** How far a run is: one value, replaced as a whole, stored in the same transaction as the rows it counts. */

/** What one pass met. `found` is counted when reading, the rest when a row's fate is known. */
export interface PassCounts {
  /** Values, of whatever kind. */
  readonly found: number
  /** Replaced in this pass. */
  readonly migrated: number
  /** Replaced earlier by this run. */
  readonly earlier: number
  /** Longhold's form, written by somebody else. */
  readonly already: number
  /** Could not be opened; see the dead letters. */
  readonly dead: number
  /** Changed by somebody else between reading and writing; the next pass reads them again. */
  readonly conflict: number
  /** Rows without a value, not among those found. */
  readonly empty: number
}

/**
 * - `running`: at work, or broken off
 * - `stopped`: before its end; the same command goes on
 * - `rolling_back`: at work, or broken off
 * - `finalized`: nothing of it can be rolled back any more
 */
export type RunStatus = 'running' | 'stopped' | 'finished' | 'rolling_back' | 'rolled_back' | 'finalized'

export interface RunState {
  readonly runId: string
  readonly table: string
  readonly column: string
  readonly dataset: string
  readonly status: RunStatus
  /** What was replaced is kept until the run is finalised, so that it can be rolled back. */
  readonly keepsOriginals: boolean
  /** 1, 2, … */
  readonly pass: number
  /** Where the pass goes on; undefined at its start, `inRanges` where a fleet is at it. */
  readonly position: string | undefined
  readonly counts: PassCounts
  /** Over all passes. */
  readonly migrated: number
  readonly conflicts: number
  /** Opened although nothing would have told a wrong key. */
  readonly unauthenticated: number
  /** Old values that were opened, by format, key id, wrapping and body (a JSON array of these); at most 1,000 kinds. */
  readonly kinds: Readonly<Record<string, number>>
  /** Of the values migrated, all columns of a layout: before and after. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Hexadecimal key ids of the data keys this run wrote under. */
  readonly dataKeys: readonly string[]
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly updatedAt: string
  readonly finishedAt: string | undefined
}

/** A row that stays as it is: where, in which format, under which key, and why. Never what it holds. */
export interface DeadLetter {
  readonly locator: string
  readonly format: string | undefined
  readonly keyId: string | undefined
  readonly code: string
}

/** The position of a pass that is cut into ranges of keys, each with a position of its own. */
export const inRanges = 'in ranges'

/** True while the run may still go on re-encrypting. */
export function isUnfinished({ status }: RunState): boolean {
  return status === 'running' || status === 'stopped'
}

export const noCounts: PassCounts = {
  found: 0,
  migrated: 0,
  earlier: 0,
  already: 0,
  dead: 0,
  conflict: 0,
  empty: 0,
}

export function addCounts(a: PassCounts, b: Partial<PassCounts>): PassCounts {
  return {
    found: a.found + (b.found ?? 0),
    migrated: a.migrated + (b.migrated ?? 0),
    earlier: a.earlier + (b.earlier ?? 0),
    already: a.already + (b.already ?? 0),
    dead: a.dead + (b.dead ?? 0),
    conflict: a.conflict + (b.conflict ?? 0),
    empty: a.empty + (b.empty ?? 0),
  }
}

/** True when every value that was read has one fate. */
export function addsUp({ found, migrated, earlier, already, dead, conflict }: PassCounts): boolean {
  return found === migrated + earlier + already + dead + conflict
}

/** A run that has not begun. */
export function newRunState(
  about: Pick<RunState, 'runId' | 'table' | 'column' | 'dataset' | 'startedAt'> &
    Partial<Pick<RunState, 'keepsOriginals'>>,
): RunState {
  return {
    keepsOriginals: true,
    ...about,
    status: 'running',
    pass: 1,
    position: undefined,
    counts: noCounts,
    migrated: 0,
    conflicts: 0,
    unauthenticated: 0,
    kinds: {},
    bytesBefore: 0,
    bytesAfter: 0,
    dataKeys: [],
    updatedAt: about.startedAt,
    finishedAt: undefined,
  }
}

/** What a commit alone can know of a page. */
export interface PageOutcome {
  readonly migrated: number
  /** Rows whose replacement a constraint of the table refused: dead. */
  readonly broken: number
  readonly bytesBefore: number
  readonly bytesAfter: number
}

export const noOutcome: PageOutcome = { migrated: 0, broken: 0, bytesBefore: 0, bytesAfter: 0 }

/** The state once a page is committed. Replacements that were neither made nor refused met another value. */
export function afterPage<Part extends Tally & Pick<RunState, 'position'>>(
  state: Part,
  { page, seen, replacements, dead, kinds = [] }: CountedPage,
  { migrated, broken, bytesBefore, bytesAfter }: PageOutcome,
): Part {
  const conflict = replacements.size - migrated - broken
  return {
    ...state,
    position: page.position,
    counts: addCounts(state.counts, { ...seen, migrated, conflict, dead: dead.length + broken }),
    migrated: state.migrated + migrated,
    conflicts: state.conflicts + conflict,
    unauthenticated: state.unauthenticated + (seen.unauthenticated ?? 0),
    kinds: addKinds(state.kinds, kinds),
    bytesBefore: state.bytesBefore + bytesBefore,
    bytesAfter: state.bytesAfter + bytesAfter,
  }
}

/** What a part of a run adds to the whole. */
export type Tally = Pick<
  RunState,
  'counts' | 'migrated' | 'conflicts' | 'unauthenticated' | 'kinds' | 'bytesBefore' | 'bytesAfter'
>

export const noTally: Tally = {
  counts: noCounts,
  migrated: 0,
  conflicts: 0,
  unauthenticated: 0,
  kinds: {},
  bytesBefore: 0,
  bytesAfter: 0,
}

export function addTally(state: RunState, more: Tally): RunState {
  return {
    ...state,
    counts: addCounts(state.counts, more.counts),
    migrated: state.migrated + more.migrated,
    conflicts: state.conflicts + more.conflicts,
    unauthenticated: state.unauthenticated + more.unauthenticated,
    kinds: addKinds(state.kinds, Object.entries(more.kinds)),
    bytesBefore: state.bytesBefore + more.bytesBefore,
    bytesAfter: state.bytesAfter + more.bytesAfter,
  }
}

interface CountedPage {
  readonly page: { readonly position: string }
  readonly seen: Partial<PassCounts> & { readonly unauthenticated?: number }
  readonly replacements: { readonly size: number }
  readonly dead: { readonly length: number }
  readonly kinds?: readonly (readonly [kind: string, count: number])[]
}

/** Key ids come from the data: a table with one for each row must not fill the journal. */
const maxKinds = 1000
const otherKind = JSON.stringify(['other', null, 'other', 'other'])

function addKinds(
  before: RunState['kinds'],
  more: readonly (readonly [kind: string, count: number])[],
): RunState['kinds'] {
  if (more.length === 0) return before
  const kinds: Record<string, number> = { ...before }
  for (const [kind, times] of more) {
    const isKnown = Object.hasOwn(kinds, kind) || Object.keys(kinds).length < maxKinds
    const name = isKnown ? kind : otherKind
    kinds[name] = (kinds[name] ?? 0) + times
  }
  return kinds
}
