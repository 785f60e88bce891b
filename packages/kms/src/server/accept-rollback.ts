/** Accepts a database that was put back, of a service that is not running. */

import { acceptRollback as accept, epochsOf } from '../service/accept-rollback.ts'
import type { Rollback } from '../service/accept-rollback.ts'
import { ServiceError } from '../service/errors.ts'
import { everyRow } from '../service/key-store.ts'
import type { SlotOpener } from '../service/slot-opener.ts'
import { AnchorFile } from '../store/anchor-file.ts'
import { openDatabase } from './open-store.ts'
import { resolvePaths } from './paths.ts'
import type { ServicePaths } from './paths.ts'
import { openerOf } from './slot-openers.ts'
import type { SealService } from './slot-openers.ts'
import { openUnattended } from './unattended.ts'

/** Where the service has its files, and what opens one of its slots. */
export interface AcceptOptions extends ServicePaths {
  readonly sealService?: SealService | undefined
  /** What is accepted: the epochs of database and anchor, `41:57`; `any`: whatever they are. */
  readonly epochs?: string | undefined
  /** Of a slot; default: the key file or the other key service, as when the service starts. */
  readonly passphrase?: string | undefined
}

/**
 * Needs what opens a slot, and the epochs that are accepted.
 *
 * @returns What was accepted; undefined: there was nothing to accept.
 * @throws ServiceError `database_in_use` while the service runs on SQLite, `integrity_violation`,
 * `rollback_detected` for other epochs, `not_initialised`, `wrong_secret`, `bad_config`, `storage_unavailable`.
 */
export async function acceptRollback(options: AcceptOptions): Promise<Rollback | undefined> {
  const paths = resolvePaths(options)
  if (paths.anchor === undefined) {
    throw new ServiceError('bad_config', 'no anchor is configured, so there is no rollback to accept', {
      hint: 'give the anchor that the service is started with',
    })
  }
  const anchor = new AnchorFile(paths.anchor)
  const store = await openDatabase(paths)
  try {
    const { passphrase, sealService } = options
    let found: Rollback | undefined
    const run = async (opener: SlotOpener): Promise<void> => {
      try {
        found = await accept({ store, opener, anchor }, options.epochs)
        if (found?.isAccepted === false) throw notAccepted(found)
      } finally {
        opener.close()
      }
    }
    if (passphrase !== undefined) {
      await run(openerOf({ passphrase }, sealService))
      return found
    }
    const kinds = new Set((await everyRow(store, 'slots')).map(({ kind }) => kind))
    const unattended = { ...paths, keyFileIsGiven: options.keyFile !== undefined, sealService }
    if (await openUnattended(kinds, unattended, run)) return found
    throw new ServiceError('wrong_secret', 'nothing that was given opens a slot of this service', {
      hint: 'give the key file, or a file with the passphrase',
    })
  } finally {
    await store.close()
  }
}

function notAccepted(rollback: Rollback): ServiceError {
  return new ServiceError('rollback_detected', rollback.what, {
    hint: `restore the newest database; or, to go on with this one: --epochs ${epochsOf(rollback)}`,
  })
}
