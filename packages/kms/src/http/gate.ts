/** What the routes ask of whoever keeps the root key: is it there, and is this what opens it? */

import type { SealStatus, UnsealRequest } from '@longhold/core/kms'

export interface Gate {
  status(): Promise<SealStatus>
  /**
   * One attempt. Does nothing where the service is unsealed already.
   *
   * @throws ServiceError `wrong_secret` for a wrong secret, `rate_limited` while another attempt is under way or too
   * soon after wrong ones, `slot_unavailable`, `malformed_request`.
   */
  unseal(attempt: UnsealRequest): Promise<SealStatus>
  /** Turns to sealed; keys are forgotten once the requests under way are answered. */
  seal(): Promise<SealStatus>
}
