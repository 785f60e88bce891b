/** What the routes ask of whoever keeps the root key: is it there, and is this what opens it? */

import type {
  AcceptRollbackRequest,
  CreateSlotRequest,
  InitAnswer,
  InitRequest,
  RollbackAnswer,
  SealStatus,
  UnsealRequest,
} from '@longhold/core/kms'

import type { SlotRow } from '../service/rows.ts'
import type { SlotOpener } from '../service/slot-opener.ts'

export interface Gate {
  status(): Promise<SealStatus>
  /**
   * Sets the service up, and opens it.
   *
   * @throws ServiceError `invalid_state` where it is set up, or was not started to wait for it; `rate_limited` while
   * another attempt is under way; `malformed_request`, `storage_unavailable`.
   */
  init(request: InitRequest): Promise<InitAnswer>
  /**
   * One attempt. Does nothing where the service is unsealed already.
   *
   * @throws ServiceError `wrong_secret` for a wrong secret, `rate_limited` while another attempt is under way or too
   * soon after wrong ones, `slot_unavailable`, `malformed_request`.
   */
  unseal(attempt: UnsealRequest): Promise<SealStatus>
  /**
   * Goes on with a database that is older than its anchor, and is open afterwards. Does nothing where the service
   * answers requests.
   *
   * @throws ServiceError as `unseal`; `integrity_violation` for a database that is not whole, `invalid_state` without
   * an anchor.
   */
  acceptRollback(request: AcceptRollbackRequest): Promise<RollbackAnswer>
  /** Turns to sealed; keys are forgotten once the requests under way are answered. */
  seal(): Promise<SealStatus>
}

/** Makes what opens a new slot, and says of a slot of shares how many there are. */
export interface SlotOpeners {
  /** @throws ServiceError `malformed_request` for what cannot be one, `slot_unavailable`. */
  make(request: CreateSlotRequest): Promise<{
    readonly opener: SlotOpener
    /** Secret; of a slot of shares alone. */
    readonly shareTexts: readonly string[]
  }>
  sharesOf(row: SlotRow): { readonly threshold: number; readonly count: number } | null
}
