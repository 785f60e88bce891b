/**
 * Where the root key is kept: a slot seals it for its row in the database and opens that row again. The root
 * itself is random and never leaves the service otherwise; changing a slot seals the same root anew. One contract
 * suite (`test/contracts/root-key.ts`) runs on every kind.
 */

import type { Secret } from '@longhold/core'

export interface RootKey {
  /** Stands in the slot's row, so that a row is never offered to another kind of slot. */
  readonly kind: string
  /**
   * @param root 32 bytes. Borrowed.
   * @param bound What the row is about; the same bytes must be given to open it.
   */
  seal(root: Uint8Array, bound: Uint8Array): Promise<Uint8Array>
  /**
   * @returns The root key; the caller wipes it.
   * @throws ServiceError `wrong_key_file` when the secret of this slot is not the one that sealed the row, or the
   * row was altered. Nothing is ever made anew in its place.
   */
  open(sealedRoot: Uint8Array, bound: Uint8Array): Promise<Secret>
  /** Forgets the secret. */
  close(): void
}
