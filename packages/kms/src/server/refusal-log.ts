/** Connections that were refused, in the log: each reason at most once a minute, with how many there were since. */

import type { Log } from '../http/env.ts'
import { refusals } from '../http/tls.ts'
import type { Refusal } from '../http/tls.ts'

const quietMs = 60_000

/** Whoever knocks a thousand times a second must not fill the disk. */
export function refusalLog(
  log: Log,
  nowMs: () => number = () => performance.now(),
): (refusal: Refusal) => void {
  const seen = new Map<Refusal, { lineAtMs: number; since: number }>()
  return (refusal) => {
    const last = seen.get(refusal)
    if (last !== undefined && nowMs() - last.lineAtMs < quietMs) {
      last.since += 1
      return
    }
    const since =
      last === undefined || last.since === 0 ? '' : ` (and ${last.since} more since the last line)`
    log({ level: 'error', message: refusals[refusal] + since, code: refusal })
    seen.set(refusal, { lineAtMs: nowMs(), since: 0 })
  }
}
