/** What the store and its writer's thread say to each other. */

import type { Commit, Outcome } from '../../service/key-store.ts'

export interface WriterOptions {
  readonly path: string
  readonly busyTimeoutMs: number
}

/** Entries of the log to be deleted: the oldest `limit` of a chain, up to a number. */
export interface Forgetting {
  readonly run: string
  readonly through: number
  readonly limit: number
}

export type WriteRequest =
  | { readonly id: number; readonly commit: Commit }
  | { readonly id: number; readonly forget: Forgetting }

export interface WriteReply {
  readonly id: number
  /** Of a commit; how many entries were deleted. */
  readonly outcome?: Outcome | number
  /** A ServiceError in parts: classes do not cross threads. */
  readonly failure?: { readonly message: string; readonly hint: string | undefined }
}
