/** Accepts a database that was put back, of a service that is not running. */

import { acceptRollback as accept, epochsOf } from '../service/accept-rollback.ts'
import type { Rollback } from '../service/accept-rollback.ts'
import { ServiceError } from '../service/errors.ts'
import { AnchorFile } from '../store/anchor-file.ts'
import { resolvePaths } from './paths.ts'
import { withStopped } from './stopped.ts'
import type { StoppedOptions } from './stopped.ts'

/** Where the service has its files, what opens one of its slots, and what is accepted. */
export interface AcceptOptions extends StoppedOptions {
  /** The epochs of database and anchor, `41:57`; `any`: whatever they are. */
  readonly epochs?: string | undefined
}

/**
 * Needs what opens a slot, and the epochs that are accepted.
 *
 * @returns What was accepted; undefined: there was nothing to accept.
 * @throws ServiceError `database_in_use` while the service runs on SQLite, `integrity_violation`,
 * `rollback_detected` for other epochs, `not_initialised`, `wrong_secret`, `bad_config`, `storage_unavailable`.
 */
export async function acceptRollback(options: AcceptOptions): Promise<Rollback | undefined> {
  const { anchor: place } = resolvePaths(options)
  if (place === undefined) {
    throw new ServiceError('bad_config', 'no anchor is configured, so there is no rollback to accept', {
      hint: 'give the anchor that the service is started with',
    })
  }
  const anchor = new AnchorFile(place)
  return await withStopped(options, async (store, opener) => {
    const found = await accept({ store, opener, anchor }, options.epochs)
    if (found?.isAccepted === false) throw notAccepted(found)
    return found
  })
}

function notAccepted(rollback: Rollback): ServiceError {
  return new ServiceError('rollback_detected', rollback.what, {
    hint: `restore the newest database; or, to go on with this one: --epochs ${epochsOf(rollback)}`,
  })
}
