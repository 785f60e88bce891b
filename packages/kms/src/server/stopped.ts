/** Works on the database of a service that is not running, for whoever has what opens one of its slots. */

import { ServiceError } from '../service/errors.ts'
import { everyRow } from '../service/key-store.ts'
import type { KeyStore } from '../service/key-store.ts'
import type { SlotOpener } from '../service/slot-opener.ts'
import { openDatabase } from './open-store.ts'
import { resolvePaths } from './paths.ts'
import type { ServicePaths } from './paths.ts'
import { openerOf } from './slot-openers.ts'
import type { SealService } from './slot-openers.ts'
import { openUnattended } from './unattended.ts'

/** Where the service has its files, and what opens one of its slots. */
export interface StoppedOptions extends ServicePaths {
  readonly sealService?: SealService | undefined
  /** Of a slot; default: the key file or the other key service, as when the service starts. */
  readonly passphrase?: string | undefined
}

/**
 * @param work Closes neither store nor opener. Throws `wrong_secret` where that is not what opens a slot.
 * @throws ServiceError `database_in_use` while the service runs on SQLite, `not_initialised`, `wrong_secret`,
 * `storage_unavailable`, and what `work` throws.
 */
export async function withStopped<T>(
  options: StoppedOptions,
  work: (store: KeyStore, opener: SlotOpener) => Promise<T>,
): Promise<T> {
  const paths = resolvePaths(options)
  const store = await openDatabase(paths)
  try {
    const { passphrase, sealService } = options
    const results: T[] = []
    const run = async (opener: SlotOpener): Promise<void> => {
      try {
        results.push(await work(store, opener))
      } finally {
        opener.close()
      }
    }
    if (passphrase === undefined) {
      const kinds = new Set((await everyRow(store, 'slots')).map(({ kind }) => kind))
      const unattended = { ...paths, keyFileIsGiven: options.keyFile !== undefined, sealService }
      if (!(await openUnattended(kinds, unattended, run))) {
        throw new ServiceError('wrong_secret', 'nothing that was given opens a slot of this service', {
          hint: 'give the key file, or a file with the passphrase',
        })
      }
    } else {
      await run(openerOf({ passphrase }, sealService))
    }
    const [result] = results
    // It ran once, or threw; `T` may be undefined.
    return result as T
  } finally {
    await store.close()
  }
}
