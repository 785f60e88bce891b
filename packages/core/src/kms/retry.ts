/** Which requests are sent again, and after how long. */

/**
 * - `read`: changes nothing, however often it is sent
 * - `change`: carries an idempotency key, under which the service makes it once
 * - `once`: is never repeated by itself
 */
export type RequestKind = 'read' | 'change' | 'once'

const firstPauseMs = 100
const maxPauseMs = 2000

/** Answers that say that the request was not carried out, and that it may be in a moment. */
const passing: ReadonlySet<string> = new Set(['draining', 'storage_unavailable', 'idempotency_in_progress'])

/** Whether an answer is one after which the same request makes sense. */
export function isPassing(status: number, code: unknown, kind: RequestKind): boolean {
  if (kind === 'once') return false
  if (status === 429 || status === 502 || status === 504) return true
  // The change may have been made, and not be remembered as such.
  if (code === 'audit_unavailable') return kind === 'read'
  return typeof code === 'string' ? passing.has(code) : status === 503
}

/**
 * Up to twice as long each time, and anything below that: those who failed together do not come back together.
 *
 * @param attempt 1 after the first.
 * @param retryAfter What the service said, in seconds; no less than that.
 */
export function pauseMs(attempt: number, retryAfter: string | null): number {
  const jittered = Math.random() * Math.min(maxPauseMs, firstPauseMs * 2 ** (attempt - 1))
  const said = retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : 0
  return said + jittered
}

/** Waits, or ends at once when `signal` says so. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
    if (signal?.aborted === true) done()
  })
}
