/** What slows a run down, by flags and configuration. */

import { existsSync } from 'node:fs'

import { Throttle } from '../reencrypt/throttle.ts'
import { usage } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { Awaitable } from '../sources/row-source.ts'
import type { ReencryptConfig } from './reencrypt-config.ts'
import type { RunFlags } from './reencrypt-flags.ts'

/** A commit that takes longer than five usual ones says that the database has other things to do. */
const latencyFactor = 5

/** Of rows or of objects. */
export interface ThrottledSource {
  readonly target: { readonly name: string }
  readonly isStill: boolean
  ask?(sql: string): Awaitable<number>
}

/**
 * Whether a run must wait; undefined where nothing was said about it.
 *
 * @throws CliError (exit 2) for a query where there is no database.
 */
export function pauseCheck(
  terminal: Terminal,
  source: ThrottledSource,
  flags: RunFlags,
  config: ReencryptConfig,
): (() => Promise<boolean>) | undefined {
  const query = flags.pauseQuery ?? config['pause-query']
  const bound = flags.pauseAbove ?? config['pause-above'] ?? 0
  const pauseFile = flags.pauseFile ?? config['pause-file']
  if (query !== undefined && source.ask === undefined) {
    throw usage(`--pause-query: ${source.target.name} is no database`, { hint: 'use --pause-file' })
  }
  if (pauseFile === undefined && query === undefined) return undefined
  return async () => {
    if (pauseFile !== undefined && existsSync(terminal.path(pauseFile))) return true
    return query !== undefined && source.ask !== undefined && (await source.ask(query)) > bound
  }
}

/** @throws CliError (exit 2) as `pauseCheck`. */
export function makeThrottle(
  terminal: Terminal,
  source: ThrottledSource,
  flags: RunFlags,
  config: ReencryptConfig,
): Throttle {
  return new Throttle({
    rowsPerSecond: flags.maxRowsPerSecond ?? config['max-rows-per-second'],
    bytesPerSecond: flags.maxBytesPerSecond ?? config['max-bytes-per-second'],
    isPaused: pauseCheck(terminal, source, flags, config),
    latencyFactor: source.isStill ? undefined : latencyFactor,
    signal: terminal.signal,
    onPause: (paused) =>
      terminal.note(paused ? 'paused: the pause file is there, or the query is above its bound' : 'going on'),
  })
}
