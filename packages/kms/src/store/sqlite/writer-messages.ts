/** What the store and its writer's thread say to each other. */

import type { Commit, Outcome } from '../../service/key-store.ts'

export interface WriterOptions {
  readonly path: string
  readonly busyTimeoutMs: number
}

export interface WriteRequest {
  readonly id: number
  readonly commit: Commit
}

export interface WriteReply {
  readonly id: number
  readonly outcome?: Outcome
  /** A ServiceError in parts: classes do not cross threads. */
  readonly failure?: { readonly message: string; readonly hint: string | undefined }
}
