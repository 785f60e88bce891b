/** Who can open backups, and where the service writes them: what is configured, as the service takes it. */

import { readFileSync } from 'node:fs'

import { LongholdError, parseRecipient } from '@longhold/core'
import type { PublicKeyRecipient } from '@longhold/core'

import type { Log } from '../http/env.ts'
import type { BackupKeeping } from '../service/backup-keeper.ts'
import type { BackupSettings } from '../service/backups.ts'
import { ServiceError } from '../service/errors.ts'
import { BackupFolder } from '../store/backup-folder.ts'

/** What is said of backups. */
export interface BackupConfig {
  /** Recipients (`lhrecipient1-…`), one a line; lines that begin with # are comments. */
  readonly recipientsFile: string
  /** Where the service writes backups itself; default: nowhere. */
  readonly folder?: string | undefined
  /** How often it does; default: once a day. */
  readonly everyMs?: number | undefined
  /** How long one is kept, wherever it is; default: 90 days. */
  readonly lifeMs?: number | undefined
}

const defaultEveryMs = 24 * 60 * 60 * 1000
const maxRecipients = 16

/** @throws ServiceError `bad_config` as `readBackupRecipients`. */
export function backupsOf(
  { recipientsFile, folder, everyMs = defaultEveryMs, lifeMs }: BackupConfig,
  log: Log,
): BackupSettings & BackupKeeping {
  return {
    recipients: readBackupRecipients(recipientsFile),
    lifeMs,
    place: folder === undefined ? undefined : new BackupFolder(folder),
    everyMs,
    onBackup(outcome) {
      if (!(outcome instanceof ServiceError)) log({ level: 'info', message: 'backup written' })
      else log({ level: 'error', message: `backup failed: ${outcome.message}`, code: outcome.code })
    },
  }
}

/** @throws ServiceError `bad_config` for a file that cannot be read, or that holds anything but recipients. */
export function readBackupRecipients(path: string): PublicKeyRecipient[] {
  const lines = readText(path)
    .split('\n')
    .map((text, index) => ({ text: text.trim(), line: index + 1 }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'))
  if (lines.length === 0) throw wrong(path, 'it names nobody')
  if (lines.length > maxRecipients) throw wrong(path, `it names more than ${maxRecipients}`)
  return lines.map(({ text, line }) => {
    // Never repeated: somebody may have put the secret half there.
    if (text.startsWith('LONGHOLD-IDENTITY-')) {
      throw wrong(path, `line ${line} is an identity, the secret half: keep it away from this machine`)
    }
    try {
      return parseRecipient(text)
    } catch (error) {
      if (!(error instanceof LongholdError)) throw error
      throw wrong(path, `line ${line}: ${error.message}`)
    }
  })
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw wrong(path, error instanceof Error && 'code' in error ? String(error.code) : 'unknown')
  }
}

function wrong(path: string, why: string): ServiceError {
  return new ServiceError('bad_config', `the recipients of backups cannot be read from ${path}: ${why}`, {
    hint: 'one recipient a line, as longhold keygen printed it (lhrecipient1-…)',
  })
}
