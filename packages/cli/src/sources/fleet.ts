/**
 * A run that many processes work on. What is to be done is cut into ranges of keys, which are rows beside the table
 * itself: a range's counts and position commit with its rows. A queue says who works on which range, and may forget
 * everything: it is filled again from the ranges.
 */

import type { DecidedPage, Page, PageLimits, RowSource, StoredDataKey } from './row-source.ts'
import type { PageOutcome, RunState } from './run-state.ts'

/** What all members must agree on, by what it is: a digest of each. */
export type FleetConfiguration = Readonly<Record<string, string>>

/** As the coordinator says it for all. */
export interface FleetLimits {
  readonly rowsPerSecond: number | undefined
  readonly bytesPerSecond: number | undefined
}

/** What a member looks at again and again. */
export interface FleetFacts {
  readonly configuration: FleetConfiguration
  readonly limits: FleetLimits
  /** By a person, or for a few seconds by the coordinator's pause file or query. */
  readonly isPaused: boolean
  /** Those that were heard of lately. */
  readonly members: readonly FleetMember[]
}

export interface FleetState extends FleetFacts {
  /** With what the ranges of the pass have so far. */
  readonly run: RunState
  readonly ranges: number
  readonly rangesDone: number
}

export interface FleetMember {
  readonly id: string
  /** Host and process. */
  readonly name: string
}

export interface Range {
  /** From 1 in each pass. */
  readonly number: number
  /** Where its reading goes on; undefined: with the first row. */
  readonly after: string | undefined
  /** Its last key; undefined: all that follow. */
  readonly until: string | undefined
}

/** A range that is ours until somebody else takes it. */
export interface HeldRange extends Range {
  readonly runId: string
  readonly pass: number
  readonly holder: string
}

/** Of ranges, none of which is done. */
export interface Plan {
  readonly runId: string
  readonly pass: number
  readonly numbers: readonly number[]
}

/** The table and its ranges. Every method is one step, all or nothing. */
export interface FleetTable {
  /** As a member sees the table: its lock is shared with the other members. */
  readonly rows: RowSource
  /** The unfinished run of a fleet, or undefined. */
  state(): Promise<FleetState | undefined>
  /** Undefined once the run has ended, or is no fleet's any more. */
  facts(runId: string): Promise<FleetFacts | undefined>
  /** Cuts all rows into ranges for the first pass of a run, or for the pass of a run that was no fleet's so far. */
  begin(run: RunState, settings: FleetSettings): Promise<void>
  /** The coordinator is there again, with these settings from now on. */
  goOn(runId: string, settings: FleetSettings): Promise<void>
  /** What is not done yet. */
  remaining(runId: string): Promise<Plan>
  /**
   * Ends a pass all of whose ranges are done: the run has its counts, and either has ended or begun another pass.
   *
   * @param lastPass It is stopped after that one.
   */
  endPass(runId: string, lastPass: number): Promise<RunState>
  /** Makes all wait for so many seconds, unless it is called again. 0: no longer. */
  hold(runId: string, seconds: number): Promise<void>
  pause(runId: string, isPaused: boolean): Promise<void>
  /** Takes a range from whoever had it. Undefined: there is nothing to do there. */
  take(runId: string, queued: QueuedRange, holder: string): Promise<HeldRange | undefined>
  /** Lets it go, if it is still ours. */
  release(range: HeldRange): Promise<void>
  read(range: Range, after: string | undefined, limits: PageLimits): Promise<Page>
  /** @returns What became of each page; undefined when the range is somebody else's by now, and nothing was done. */
  commit(
    range: HeldRange,
    pages: readonly DecidedPage[],
    isDone: boolean,
  ): Promise<readonly PageOutcome[] | undefined>
  addDataKey(runId: string, key: StoredDataKey): Promise<void>
  /** A sign of life. */
  beat(runId: string, member: FleetMember): Promise<void>
  leave(runId: string, member: FleetMember): Promise<void>
  close(): Promise<void>
}

export interface FleetSettings {
  readonly configuration: FleetConfiguration
  readonly limits: FleetLimits
  readonly rangeRows: number
}

/** A range as the queue hands it out. */
export interface QueuedRange {
  readonly pass: number
  readonly number: number
  /** Of the queue's: which job, and which attempt at it. */
  readonly jobId: string
  readonly attempt: number
}

/** Who works on which range. What nobody gives a sign of life for is handed out again. */
export interface FleetQueue {
  /** Ranges that are in it already are left as they are. */
  fill(plan: Plan): Promise<void>
  take(runId: string): Promise<QueuedRange | undefined>
  /** A sign of life for what is worked on. */
  keep(runId: string, ranges: readonly QueuedRange[]): Promise<void>
  done(runId: string, range: QueuedRange): Promise<void>
  /** To be handed out at once. */
  giveBack(runId: string, range: QueuedRange): Promise<void>
  /** Forgets a run that has ended. */
  forget(runId: string): Promise<void>
  close(): Promise<void>
}

/** How often members give signs of life, and after how many seconds without one they count as gone. */
export const beatMs = 5000
export const goneAfterS = 20
