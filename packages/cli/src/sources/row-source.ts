/**
 * What the engine asks of a place where rows live: read in order from a position; commit replacements, each only if
 * the row is still what was read, together with the position. A source answers at once or when its database has.
 * Changes come one after the other; pages may be read between them, and no transaction is open between two calls.
 */

import type { DeadLetter, RunState } from './run-state.ts'

/** A value as a column or member holds it. */
export type Cell = string | Uint8Array | bigint | number | null

/** At once, or when it is there. */
export type Awaitable<T> = T | Promise<T>

/** The text form or the bytes (SPEC §6.6, §12). */
export type RecordForm = 'text' | 'bytes'

export interface SourceRow {
  /** Names the row for people and in dead letters. */
  readonly locator: string
  /** The row's part of the record context; empty when `problem` says why there is none. */
  readonly id: string
  /** In the order of the target's columns, the value to be replaced first. */
  readonly cells: readonly Cell[]
  /** How its replacement is to be written. */
  readonly form: RecordForm
  /** Why the row cannot be worked on, for a dead letter: `malformed`, `bad_id` or `limit_exceeded`. */
  readonly problem: string | undefined
}

/** Consecutive rows. Sources add what they need to commit them; only they make pages. */
export interface Page {
  readonly rows: readonly SourceRow[]
  /** After its last row; an opaque text. */
  readonly position: string
  /** Nothing follows. */
  readonly isLast: boolean
}

/** A page with what was decided about its rows. */
export interface DecidedPage {
  readonly page: Page
  /** By index of the row. Rows not listed stay as they are. */
  readonly replacements: ReadonlyMap<number, string | Uint8Array>
  readonly dead: readonly DeadLetter[]
  /** What the page adds to the pass besides what only the commit can know. */
  readonly seen: SeenCounts
  /** Lower-case hexadecimal key id of the replacements. */
  readonly keyId: string | undefined
  readonly plaintextBytes: number
  /** What kinds of old values were opened, and how often. */
  readonly kinds?: readonly (readonly [kind: string, count: number])[]
}

export interface SeenCounts {
  readonly found: number
  readonly earlier: number
  readonly already: number
  readonly empty: number
  readonly unauthenticated: number
}

/** The columns that formats need. */
export interface WantedColumns {
  /** The value and what else a layout occupies, the value first. */
  readonly own: readonly string[]
  /** Only read: additional authenticated data, key ids. */
  readonly read: readonly string[]
}

export interface PageLimits {
  readonly maxRows: number
  /** Of the cells. One row may be larger. */
  readonly maxBytes: number
}

export interface SourceSize {
  readonly unit: 'rows' | 'bytes'
  readonly total: number
}

/** A wrapped data key as SPEC §12 stores it. */
export interface StoredDataKey {
  /** 32 hexadecimal digits, lower case. */
  readonly keyId: string
  readonly wrappedKey: Uint8Array
  readonly keyContext: Readonly<Record<string, string>>
  /** What it is for: the dataset. */
  readonly name: string
  readonly state: 'writing' | 'reading' | 'retired'
  readonly messages: number
  readonly bytes: number
  /** With what a keyring key vouches for it (SPEC §12.1); undefined where nothing does. */
  readonly vouched?: Vouched | undefined
}

export interface Vouched {
  /** 32 bytes. */
  readonly tag: Uint8Array
  /** When the data key was made, `YYYY-MM-DDThh:mm:ss.sssZ`: the tag is over this too. */
  readonly createdAt: string
}

/** As people and reports call it. */
export type TargetKind = 'SQLite table' | 'PostgreSQL table' | 'NDJSON file' | 'CSV file'

export interface TargetDescription {
  readonly kind: TargetKind
  /** The file, as the person named it. */
  readonly file: string
  /** For people, say `app.db, table notes, column body`. */
  readonly name: string
  /** The parts of the record context that are the same for all rows. */
  readonly table: string
  readonly column: string
  /** Of a row's cells: the value to be replaced, then the other columns of the layouts, then those only read. */
  readonly columns: readonly string[]
  /** How many of the columns a layout occupies. */
  readonly ownColumns: number
  /** What this target in particular leaves behind or does at a change, for the plan. */
  readonly notices: readonly string[]
}

/** What can be done without changing anything. */
export interface RowReader {
  readonly target: TargetDescription
  size(): Awaitable<SourceSize>
  /** How much of the size a run has behind it in its pass. */
  progressOf(state: RunState): number
  /** @param after Undefined: from the start. */
  read(after: string | undefined, limits: PageLimits): Awaitable<Page>
  /** The newest run on this target, or undefined. */
  latestRun(): Awaitable<RunState | undefined>
  /** All runs on this target, the newest first. */
  runs(): Awaitable<readonly RunState[]>
  deadLetters(runId: string): Iterable<DeadLetter> | AsyncIterable<DeadLetter>
  dataKey(keyId: string): Awaitable<StoredDataKey | undefined>
  /** The number that a query of the person's gives; targets that are no databases have none. */
  ask?(sql: string): Awaitable<number>
  /** True while a run is at work on the target. */
  isLocked(): Awaitable<boolean>
  close(): Awaitable<void>
}

/** Holds the target's lock: two of them on one target cannot exist at a time, in whatever process. */
export interface RowSource extends RowReader {
  /** Nobody else writes it: one pass has seen everything. */
  readonly isStill: boolean
  /** Key ids of the run's data keys, where other processes make some too. */
  readonly dataKeysOfAll?: ReadonlySet<string>
  /** The run that left nothing to do here; undefined when there may be. */
  finishedRun(): Awaitable<RunState | undefined>
  /** Stores a new run, or the one that goes on, and makes everything ready for `commit`. */
  begin(state: RunState): Awaitable<void>
  /** Stores a data key durably, before the first record under it. */
  addDataKey(state: RunState, key: StoredDataKey): Awaitable<RunState>
  /**
   * Replaces rows that still are what was read and stores the position and the counts, all or nothing.
   *
   * @returns The state after it.
   */
  commit(state: RunState, pages: readonly DecidedPage[]): Awaitable<RunState>
  /** Stores a state that was reached without a commit: another pass, stopped, finished. */
  store(state: RunState): Awaitable<void>
  /** From now on they are only read. */
  retireDataKeys(keyIds: readonly string[]): Awaitable<void>
  /** After the last pass. */
  finish(): Awaitable<void>
  /**
   * Puts back some of what the run replaced, all or nothing: each value only where one of the run's still stands. What
   * somebody changed since is left, and its original forgotten.
   *
   * @param isOurs Whether a value was written by the run.
   * @param after Where the last step ended; undefined at first.
   * @returns Undefined when nothing is left after it.
   */
  putBack(
    state: RunState,
    isOurs: (cell: Cell) => boolean,
    after: string | undefined,
  ): Awaitable<PutBack | undefined>
  /** Forgets what could be put back, or, where it is a file, gives the new one its place; with the state. */
  finalize(state: RunState): Awaitable<void>
}

/** What became of some originals. */
export interface PutBack {
  readonly restored: number
  /** Changed by somebody since, or gone. */
  readonly changed: number
  /** What a constraint or a trigger keeps as the run wrote it: locators. Their originals are kept too. */
  readonly kept: readonly string[]
  /** Where the next step begins. */
  readonly after: string
}

/** How many originals are put back in one step. */
export const putBackRows = 500

/** A source that never makes anybody wait. */
export type Immediate<Source> = {
  [Name in keyof Source]: Source[Name] extends (...args: infer Args) => infer Answer
    ? (...args: Args) => Exclude<Answer, PromiseLike<unknown> | AsyncIterable<unknown>>
    : Source[Name]
}
