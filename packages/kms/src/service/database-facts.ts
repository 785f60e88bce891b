/** What a database says of itself to whoever may read it, without a secret. */

import type { HeadRow } from './key-store.ts'

/** Facts that nobody vouches for: the MACs of the rows are for the service to check. */
export interface DatabaseFacts {
  /** The kinds of slots. */
  readonly slots: readonly string[]
  /** The newest time that it knows of. */
  readonly newestMs: number | undefined
  /** How far the clock went at once; undefined: it did not, or somebody accepted it. */
  readonly jumpByMs: number | undefined
  /** When the newest version of a key was made. */
  readonly newestVersionMs: number | undefined
  /** Of the newest backup; undefined: there is none on record. */
  readonly newestBackupMs: number | undefined
  /** 16 bytes. */
  readonly clusterId: Uint8Array
  readonly head: HeadRow
  /** Whether a commit waits until a second server has it; undefined: there is only one, by its kind. */
  readonly hasSynchronousStandby?: boolean
}
