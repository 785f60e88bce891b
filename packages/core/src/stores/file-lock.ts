/**
 * One process for each file. The lock is a file beside it that names its holder; a holder that was killed is known by
 * its process id and start time, and its lock is taken over. Everything is synchronous: nothing of this process
 * comes between two steps.
 */

import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { kill, pid as ourPid } from 'node:process'

import { LongholdError } from '../errors.ts'

interface Holder {
  readonly pid: number
  readonly host: string
  /** When the process began, as the system counts it; null where it does not say. */
  readonly start: string | null
}

/** Lock files that this process holds: its own id says nothing about those. */
const held = new Set<string>()

/**
 * @returns Gives the lock back.
 * @throws LongholdError `unavailable` while somebody else has it.
 */
export function lockFile(path: string): () => void {
  const lock = `${path}.lock`
  if (!create(lock)) takeOver(path, lock)
  held.add(lock)
  return () => {
    if (held.delete(lock)) unlinkSync(lock)
  }
}

/** A lock of a process that is no more is removed under a second lock: two that see it must not both go on. */
function takeOver(path: string, lock: string): void {
  const holder = holderOf(lock)
  if (holder !== undefined && isAlive(lock, holder)) {
    throw inUse(path, `process ${holder.pid} on ${holder.host} uses it`, 'close it there first')
  }
  const guard = `${lock}.takeover`
  const hint = `if no process uses it, delete ${guard}`
  if (!create(guard)) throw inUse(path, 'another process is about to use it', hint)
  try {
    const still = holderOf(lock)
    if (still !== undefined && isAlive(lock, still)) throw inUse(path, 'another process uses it')
    if (still !== undefined) unlinkSync(lock)
    if (!create(lock)) throw inUse(path, 'another process uses it')
  } finally {
    unlinkSync(guard)
  }
}

/** A lock appears with its content or not at all. `false` when there is one. */
function create(lock: string): boolean {
  const temporary = `${lock}.${ourPid}`
  const holder: Holder = { pid: ourPid, host: hostname(), start: startOf(ourPid) }
  writeFileSync(temporary, JSON.stringify(holder), { mode: 0o600 })
  try {
    linkSync(temporary, lock)
    return true
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    return false
  } finally {
    unlinkSync(temporary)
  }
}

/** `undefined` when there is no lock any more. */
function holderOf(lock: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(lock, 'utf8')) as Holder // written by create
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A holder elsewhere counts as alive: from here nobody can tell. */
function isAlive(lock: string, { pid, host, start }: Holder): boolean {
  if (host !== hostname()) return true
  if (pid === ourPid) return held.has(lock)
  try {
    kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
  // The id of a process that ended is given to another one some day.
  return start === null || startOf(pid) === start
}

/** Field 22 of Linux's stat; the name before it may hold anything but ends with the last parenthesis. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null // another system: the process id alone must do
  }
}

function inUse(path: string, why: string, hint?: string): LongholdError {
  return new LongholdError('unavailable', `${path} is in use: ${why}`, hint === undefined ? {} : { hint })
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
