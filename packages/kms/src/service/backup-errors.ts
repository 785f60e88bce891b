/** What can be wrong with a backup, in the words of whoever has to restore it. */

import { LongholdError } from '@longhold/core'

import { ServiceError } from './errors.ts'

/** @returns ServiceError `bad_backup`. */
export function badBackup(
  why: string,
  { hint = 'take another copy of it, or the backup before it' }: { hint?: string } = {},
): ServiceError {
  return new ServiceError('bad_backup', `the backup cannot be restored: ${why}`, { hint })
}

/** What opening an envelope throws, as what it means for a backup; other errors as they are. */
export function backupError(error: unknown): unknown {
  // Of JSON: nothing the service writes is nested so deeply.
  if (error instanceof RangeError) return badBackup('a part of it is nested too deeply')
  if (!(error instanceof LongholdError)) return error
  switch (error.code) {
    case 'not_a_recipient':
      return new ServiceError('wrong_identity', 'the backup was not made for this identity', {
        hint: error.hint ?? 'give the identity of one of its recipients',
      })
    case 'cannot_open':
      return badBackup('it was altered or cut short, or is no backup of a key service')
    case 'malformed':
    case 'bad_context':
    case 'unsupported':
      return badBackup('it is no backup of a key service, or was altered or cut short')
    default:
      return error
  }
}
