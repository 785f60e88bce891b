/** What of the memory of the service can come to rest on a disk, or be looked at: Linux says so in /proc. */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { failure, ok, unknown, warning } from './finding.ts'
import type { Check, Finding } from './finding.ts'

export interface ProcessFacts {
  /** `/proc`, or what a test puts in its place. */
  readonly proc: string
  /** The process that holds the lock of the database; undefined: none runs. */
  readonly pid: number | undefined
}

/** SIGUSR1, on which Node opens its inspector. */
const inspectorSignal = 10n

/** The process that holds a lock on this file, as /proc/locks says. */
export function lockHolder(proc: string, lockFile: string): number | undefined {
  const locks = read(join(proc, 'locks'))
  const inode = existsSync(lockFile) ? statSync(lockFile).ino : undefined
  if (locks === undefined || inode === undefined) return undefined
  const found = new RegExp(String.raw`^\d+: POSIX\s+ADVISORY\s+WRITE (\d+) \S+:${inode} `, 'mu').exec(locks)
  return found === null ? undefined : Number(found[1])
}

export function examineProcess(facts: ProcessFacts): Finding[] {
  const { proc, pid } = facts
  if (!existsSync(join(proc, 'self'))) {
    const checks: Check[] = ['memory', 'core dumps', 'inspector']
    return checks.map((check) => unknown(check, `there is no ${proc} here to look at`))
  }
  const whose = pid === undefined ? 'what is started from here' : `the service (process ${pid})`
  const self = join(proc, pid === undefined ? 'self' : String(pid))
  return [swap(proc, self, pid), coreDumps(self, whose), inspector(self, pid)]
}

function swap(proc: string, self: string, pid: number | undefined): Finding {
  const check = 'memory'
  const [, swapped = '0'] = /^VmSwap:\s+(\d+) kB$/mu.exec(read(join(self, 'status')) ?? '') ?? []
  if (pid !== undefined && swapped !== '0') {
    const next = 'swapoff -a, restart the service, and treat that swap space as if it held the keys'
    return failure(check, `${swapped} KiB of the service have been swapped out`, next)
  }
  const devices = (read(join(proc, 'swaps')) ?? '').trim().split('\n').slice(1)
  // Compressed memory, and no disk.
  const onDisk = devices
    .map((line) => line.split(/\s+/u)[0] ?? '')
    .filter((name) => !name.startsWith('/dev/zram'))
  if (onDisk.length === 0) return ok(check, 'nothing is swapped to a disk')
  const next =
    'swapoff -a, or encrypt it with a key of each boot, or MemorySwapMax=0 as in the unit that comes with the service'
  return warning(check, `secrets in memory may be swapped to ${onDisk.join(', ')}`, next)
}

function coreDumps(self: string, whose: string): Finding {
  const check = 'core dumps'
  const [, soft, hard] = /^Max core file size\s+(\S+)\s+(\S+)/mu.exec(read(join(self, 'limits')) ?? '') ?? []
  if (soft === undefined) return unknown(check, 'the limits of the service cannot be read: ask as its user')
  if (soft === '0') return ok(check, `${whose} leaves no core dump`)
  const next = 'ulimit -c 0 where it is started, or LimitCORE=0 as in the unit that comes with the service'
  return failure(
    check,
    `${whose} leaves its memory in a file when it crashes (limit ${soft}, at most ${hard})`,
    next,
  )
}

function inspector(self: string, pid: number | undefined): Finding {
  const check = 'inspector'
  if (pid === undefined) return unknown(check, 'no service is running')
  const [, caught] = /^SigCgt:\s+([0-9a-f]+)$/mu.exec(read(join(self, 'status')) ?? '') ?? []
  if (caught === undefined)
    return unknown(check, 'the signals of the service cannot be read: ask as its user')
  const argv = (read(join(self, 'cmdline')) ?? '').split('\0')
  const options = /(?:^|\0)NODE_OPTIONS=([^\0]*)/u.exec(read(join(self, 'environ')) ?? '')?.[1] ?? ''
  if ([...argv, ...options.split(' ')].some((one) => one.startsWith('--inspect'))) {
    return failure(
      check,
      'the service was started with its inspector open',
      'take --inspect away and restart it',
    )
  }
  if (((BigInt(`0x${caught}`) >> (inspectorSignal - 1n)) & 1n) === 0n) {
    return ok(check, 'no signal opens the inspector of the service')
  }
  const next = 'start it as node --disable-sigusr1, or with NODE_OPTIONS=--disable-sigusr1'
  return warning(check, 'a signal (SIGUSR1) of its own user opens the inspector of the service', next)
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Another user's, or gone since: then this machine cannot say.
    return undefined
  }
}
