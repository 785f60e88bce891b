/** What brings the keys back when something is lost, and what notices that something was put back. */

import { spawnSync } from 'node:child_process'
import { existsSync, statfsSync } from 'node:fs'

import type { DatabaseFacts } from '../../service/database-facts.ts'
import { failure, ok, unknown, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const dayMs = 86_400_000
const maxBackupDays = 7
/** Two clocks of one machine do not differ by more. */
const maxAheadMs = 60_000

export function examineSlots({ slots }: DatabaseFacts): Finding {
  const check = 'slots'
  const list = slots.toSorted().join(', ')
  if (slots.length > 1) return ok(check, `${slots.length} slots open the root key: ${list}`)
  const next = 'longhold kms slots add: a passphrase, shares of several people, or another key service'
  return slots.length === 1
    ? warning(check, `one slot opens the root key (${list}): whoever loses it loses every key`, next)
    : failure(check, 'no slot opens the root key', 'restore a backup')
}

export function examineBackups(facts: DatabaseFacts, nowMs: number): Finding[] {
  const findings = [newestBackup(facts, nowMs)]
  if (facts.hasSynchronousStandby === false) {
    const message =
      'no second server has a commit before it is answered: a version that was just made can be lost'
    const next =
      'set synchronous_standby_names in PostgreSQL; or longhold kms rotate --pending, then a backup, then longhold kms versions activate'
    findings.push(warning('backups', message, next))
  }
  return findings
}

function newestBackup({ newestBackupMs, newestVersionMs }: DatabaseFacts, nowMs: number): Finding {
  const check = 'backups'
  if (newestBackupMs === undefined) {
    return warning(
      check,
      'no backup is on record',
      'name who can open them (backup-recipients), make one (longhold kms backup), and try to restore it',
    )
  }
  if (newestVersionMs !== undefined && newestVersionMs > newestBackupMs) {
    const message =
      'there are versions of keys that no backup has: what is wrapped for them is lost with the database'
    return failure(check, message, 'make a backup after every rotation: longhold kms backup')
  }
  const days = Math.floor((nowMs - newestBackupMs) / dayMs)
  const message = `the newest backup is ${days} days old`
  return days > maxBackupDays
    ? warning(
        check,
        message,
        'make one (longhold kms backup); with backup-folder the service does not forget',
      )
    : ok(check, message)
}

/** @param path Where `timedatectl` is looked for, as PATH. */
export function examineClock(
  { newestMs, jumpByMs }: DatabaseFacts,
  nowMs: number,
  path: string | undefined,
): Finding {
  const check = 'clock'
  if (newestMs !== undefined && newestMs > nowMs + maxAheadMs) {
    const message = `the clock is behind what the database knows: ${new Date(newestMs).toISOString()}`
    return failure(check, message, 'set the clock before anything expires or is destroyed by it')
  }
  if (jumpByMs !== undefined) {
    const message = `the clock went ${Math.round(jumpByMs / 60_000)} minutes at once: nothing is destroyed until somebody accepts it`
    return warning(check, message, 'if the time is right: longhold kms clock accept')
  }
  const { status, stdout } = spawnSync('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    encoding: 'utf8',
    timeout: 5000,
    env: { PATH: path },
  })
  if (status !== 0) return unknown(check, 'nobody here says whether the clock is kept right')
  return stdout.trim() === 'yes'
    ? ok(check, 'the clock is kept right by the network')
    : warning(check, 'nothing keeps the clock right', 'timedatectl set-ntp true, or chrony')
}

export function examineDisk(dataDir: string, minFreeBytes: number): Finding {
  const check = 'disk'
  // With another database there need not be one.
  if (!existsSync(dataDir)) return unknown(check, `there is no ${dataDir} here`)
  const { bavail, bsize } = statfsSync(dataDir)
  const free = bavail * bsize
  const message = `${Math.floor(free / 2 ** 20)} MiB are free for ${dataDir}`
  const next = 'make room: with a full disk nothing is answered that must be on record first'
  return free < minFreeBytes ? warning(check, message, next) : ok(check, message)
}
