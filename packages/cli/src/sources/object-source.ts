/**
 * What the engine asks of a place where whole objects lie, a tree of files or a bucket: listed in order from a position;
 * each looked at by its first bytes, and replaced only if it still is what was read.
 */

import type { Awaitable } from './row-source.ts'
import type { DeadLetter, RunState } from './run-state.ts'

export interface ListedObject {
  /** Path below the root with `/`, or key. In dead letters, and of the context. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** What tells this state of the object from every other; opaque. */
  readonly version: string
  /** Why it cannot be replaced, should it be of an old format: `hard_link`, `bad_name`. */
  readonly problem: string | undefined
}

/** Consecutive objects. */
export interface ObjectPage {
  readonly objects: readonly ListedObject[]
  /** Entries passed by that are no objects: symbolic links, devices. */
  readonly skipped: number
  /** After its last entry; an opaque text. */
  readonly position: string
  readonly isLast: boolean
}

export interface ObjectPageLimits {
  readonly maxObjects: number
  /** Of all of them. One object may be larger. */
  readonly maxBytes: number
}

/** Where an object is, as plain data that goes to a worker. */
export type ObjectPlace = FilePlace | BucketPlace

export interface FilePlace {
  readonly kind: 'file'
  readonly name: string
  /** Absolute. */
  readonly path: string
  readonly version: string
}

export interface BucketPlace {
  readonly kind: 'bucket'
  readonly name: string
  readonly size: number
  /** The entity tag. */
  readonly version: string
}

/** An object under reading. */
export interface OpenedObject {
  readonly size: number
  /** What a store keeps beside the bytes. */
  readonly metadata: Readonly<Record<string, string>> | undefined
  /** The first bytes, so many or all there are. */
  head(maxBytes: number): Promise<Uint8Array>
  /** All of it from the first byte, in pieces that the taker owns. */
  pieces(): AsyncIterable<Uint8Array>
  /** @throws ObjectChanged when it is not what was listed any more. */
  checkUnchanged(): Promise<void>
  close(): Promise<void>
}

/** Somebody wrote, replaced or removed the object meanwhile: the next pass looks again. */
export class ObjectChanged extends Error {}

/** An object that cannot be worked on while others can: the code is for its dead letter. */
export class ObjectRefused extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** An envelope on the disk that waits to take an object's place. */
export interface StagedEnvelope {
  /** Absolute. */
  readonly path: string
  /** Lower-case hexadecimal. */
  readonly keyId: string
  readonly bytes: number
  readonly plaintextBytes: number
  readonly isAuthenticated: boolean
}

/** What became of one object before the commit. */
export type ObjectFate =
  | { readonly fate: 'other' | 'already' | 'earlier' | 'conflict' }
  | { readonly fate: 'dead'; readonly letter: DeadLetter }
  | { readonly fate: 'staged'; readonly envelope: StagedEnvelope }

export interface DecidedObjects {
  readonly page: ObjectPage
  /** In the order of the page. */
  readonly fates: readonly ObjectFate[]
}

export type ObjectTargetKind = 'directory tree' | 'bucket'

export interface ObjectTarget {
  readonly kind: ObjectTargetKind
  /** As the person named it. */
  readonly name: string
  readonly notices: readonly string[]
}

/** What can be done without changing anything. */
export interface ObjectReader {
  readonly target: ObjectTarget
  /** Under which names the journal keeps the runs on it. */
  readonly runsAs: { readonly table: string; readonly column: string }
  /** Bytes of all objects; undefined where counting them would cost as much as a pass. */
  size(): Awaitable<number | undefined>
  /** @param after Undefined: from the start. */
  list(after: string | undefined, limits: ObjectPageLimits): Awaitable<ObjectPage>
  place(object: ListedObject): ObjectPlace
  /** Pairs that tell one object from all others, before any template: `path`, or `bucket` and `key`. */
  names(object: string): Readonly<Record<string, string>>
  latestRun(): RunState | undefined
  /** The newest first. */
  runs(): readonly RunState[]
  deadLetters(runId: string): Iterable<DeadLetter>
  isLocked(): boolean
  close(): Awaitable<void>
}

/** Holds the target's lock: two of them on one target cannot exist at a time. */
export interface ObjectSource extends ObjectReader {
  /**
   * Before a run: whether what it promises can be kept here.
   *
   * @param withExtended Extended attributes of files too.
   * @throws Problem `wrong`
   */
  checkReady(withExtended: boolean): Awaitable<void>
  /** Stores a new run, or the one that goes on, and mends what a killed one left. @returns The state from here on. */
  begin(state: RunState): Awaitable<RunState>
  /** A name for the envelope of an object, on the disk where it may take its place. */
  stage(object: ListedObject): string
  /** Removes an envelope that is not wanted. */
  unstage(path: string): void
  /** Whether this run wrote the envelope of that key id. */
  isOurs(runId: string, keyId: string): boolean
  /** Replaces the objects that still are what was read, keeps what they were, and stores position and counts. */
  commit(state: RunState, decided: DecidedObjects): Awaitable<RunState>
  store(state: RunState): Awaitable<void>
  /** Puts back some of what the run replaced, where its envelopes still stand; undefined: nothing is left. */
  putBack(state: RunState, after: string | undefined): Awaitable<ObjectsPutBack | undefined>
  /** Removes what could be put back, with the state. @throws Problem where an original is not what was read any more. */
  finalize(state: RunState): Awaitable<void>
}

export interface ObjectsPutBack {
  readonly restored: number
  /** Changed by somebody since, or gone: left as they are. */
  readonly changed: number
  readonly after: string
}

/** The state once a page is committed. */
export interface CommittedObjects {
  readonly migrated: number
  readonly conflict: number
  readonly unauthenticated: number
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** What the commit itself could not do. */
  readonly dead: readonly DeadLetter[]
}
