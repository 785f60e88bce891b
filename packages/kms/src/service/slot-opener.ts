/**
 * What opens a slot: a secret outside the database. It seals the secret of one slot for its row and opens that row
 * again. One contract suite (`test/contracts/slot-opener.ts`) runs on every kind.
 */

import type { Secret } from '@longhold/core'

export const slotKinds = ['key-file', 'passphrase', 'shares', 'key-service'] as const

export type SlotKind = (typeof slotKinds)[number]

export interface SlotOpener {
  /** Stands in the slot's row, so that a row is never offered to another kind of opener. */
  readonly kind: SlotKind
  /**
   * @param slotSecret 32 bytes. Borrowed.
   * @param bound What the row is about; the same bytes must be given to open it.
   */
  seal(slotSecret: Uint8Array, bound: Uint8Array): Promise<Uint8Array>
  /**
   * @returns The secret of the slot; the caller wipes it.
   * @throws ServiceError `wrong_secret` when this is not what sealed the row, or the row was altered;
   * `slot_unavailable` when the holder of the secret could not be asked. Nothing is ever made anew in its place.
   */
  open(sealed: Uint8Array, bound: Uint8Array): Promise<Secret>
  /** Forgets the secret. */
  close(): void
}
