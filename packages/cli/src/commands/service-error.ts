import type * as KeyService from '@longhold/kms'
import { ConfigError } from '@longhold/kms/config'

import { CliError, exit, usage } from '../shell/errors.ts'

/** These may go away by themselves, so the same command again is the next step. All others are wrong calls. */
const passing: ReadonlySet<string> = new Set([
  'storage_unavailable',
  'slot_unavailable',
  'database_in_use',
  'address_in_use',
])

/** Runs a step inside the key service of this process, so that what it refuses reads like our own errors. */
export async function inService<T>(step: (kms: typeof KeyService) => Promise<T>): Promise<T> {
  // Loads the database and the HTTP server, which no other command needs.
  const kms = await import('@longhold/kms')
  try {
    return await step(kms)
  } catch (error) {
    if (error instanceof ConfigError) throw usage(error.message, { cause: error })
    if (!(error instanceof kms.ServiceError)) throw error
    throw new CliError(error.code, passing.has(error.code) ? exit.stopped : exit.usage, error.message, {
      hint: error.hint,
      cause: error,
    })
  }
}
