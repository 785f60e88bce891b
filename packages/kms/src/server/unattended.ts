/** Opens a service at its start with what the configuration gives, if there is such a slot. */

import { existsSync } from 'node:fs'

import { KeyFile } from '../seal/key-file.ts'
import { ServiceError } from '../service/errors.ts'
import type { SlotKind, SlotOpener } from '../service/slot-opener.ts'
import { otherKeyService } from './slot-openers.ts'
import type { SealService } from './slot-openers.ts'

export interface Unattended {
  /** Where the key file is, or would be. */
  readonly keyFile: string
  /** Whether somebody said so. */
  readonly keyFileIsGiven: boolean
  readonly sealService: SealService | undefined
}

/**
 * Tries what there is, one after the other.
 *
 * @returns Whether one opened. If not, the service begins sealed and waits for people.
 * @throws ServiceError what went wrong, where waiting for people would be in vain or a key file is not the right one.
 */
export async function openUnattended(
  kinds: ReadonlySet<SlotKind>,
  { keyFile, keyFileIsGiven, sealService }: Unattended,
  open: (opener: SlotOpener) => Promise<void>,
): Promise<boolean> {
  const hasPeople = kinds.has('passphrase') || kinds.has('shares')
  const attempts: (() => SlotOpener)[] = []
  if (kinds.has('key-file') && (keyFileIsGiven || !hasOthers(kinds) || existsSync(keyFile))) {
    attempts.push(() => KeyFile.read(keyFile))
  }
  if (kinds.has('key-service') && (sealService !== undefined || !hasOthers(kinds))) {
    attempts.push(() => otherKeyService(sealService))
  }
  let failure: ServiceError | undefined
  for (const makeOpener of attempts) {
    try {
      await open(makeOpener())
      return true
    } catch (error) {
      if (!(error instanceof ServiceError) || !passing.has(error.code)) throw error
      failure = error
    }
  }
  if (failure !== undefined && !(hasPeople && failure.code === 'slot_unavailable')) throw failure
  return false
}

/** After these the next one is tried. */
const passing: ReadonlySet<string> = new Set(['wrong_key_file', 'wrong_secret', 'slot_unavailable'])

function hasOthers(kinds: ReadonlySet<SlotKind>): boolean {
  return kinds.size > 1
}
