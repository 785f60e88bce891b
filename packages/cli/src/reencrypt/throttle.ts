/** Keeps a run from taking what the application needs: rates, a pause, a bound that somebody watches, and latency. */

import { setTimeout } from 'node:timers/promises'

export interface ThrottleSettings {
  /** Rows read a second. Undefined: no limit. */
  readonly rowsPerSecond?: number | undefined
  /** Bytes of plaintext re-encrypted a second. */
  readonly bytesPerSecond?: number | undefined
  /** Whether it must wait: a pause file, a bound. Asked once a second at most. */
  readonly isPaused?: (() => boolean | Promise<boolean>) | undefined
  /** A commit that takes so many times what the quickest ones take is answered by a pause of its length. */
  readonly latencyFactor?: number | undefined
  readonly signal: AbortSignal
  /** Says so once when a pause begins and ends. */
  readonly onPause: (isPaused: boolean) => void
}

/** Of rows or objects. */
export interface PacedPage {
  readonly page: { readonly rows: { readonly length: number } }
  readonly plaintextBytes: number
}

const pollMs = 1000
/** Quicker commits than this never cause a pause. */
const minSlowMs = 50
/** Of these many commits the quickest are what is taken for usual. */
const recentCommits = 64

export class Throttle {
  readonly #settings: ThrottleSettings
  readonly #recentMs: number[] = []
  /** When the next page may be read, on the clock of `performance.now()`. */
  #dueMs = 0
  #askedMs = -Infinity
  #isPaused = false

  constructor(settings: ThrottleSettings) {
    this.#settings = settings
  }

  /** Whether the next page may be read at once. */
  async isOpen(): Promise<boolean> {
    return (await this.#waitMs()) <= 0
  }

  /** Waits until it may. @returns False when the run was stopped meanwhile. */
  async turn(): Promise<boolean> {
    const { signal } = this.#settings
    for (;;) {
      if (signal.aborted) return false
      const waitMs = await this.#waitMs()
      if (waitMs <= 0) return true
      await setTimeout(Math.min(waitMs, pollMs), undefined, { signal }).catch(() => {}) // told by the signal
    }
  }

  /** What was committed, and how long that took. */
  note(pages: readonly PacedPage[], commitMs: number): void {
    const { rowsPerSecond, bytesPerSecond } = this.#settings
    const rows = pages.reduce((sum, { page }) => sum + page.rows.length, 0)
    const bytes = pages.reduce((sum, { plaintextBytes }) => sum + plaintextBytes, 0)
    const dueAfterMs = Math.max(
      rowsPerSecond === undefined ? 0 : (rows / rowsPerSecond) * 1000,
      bytesPerSecond === undefined ? 0 : (bytes / bytesPerSecond) * 1000,
      this.#slowness(commitMs / Math.max(1, pages.length)) * commitMs,
    )
    // From where it was due, so that a page that took long leaves the rate as it is; an idle time is not made up for.
    this.#dueMs = Math.max(this.#dueMs, performance.now() - pollMs) + dueAfterMs
  }

  async #waitMs(): Promise<number> {
    return Math.max(this.#dueMs - performance.now(), (await this.#mustPause()) ? pollMs : 0)
  }

  /** 1 when commits take much longer than they used to, else 0. */
  #slowness(pageMs: number): number {
    const { latencyFactor } = this.#settings
    if (latencyFactor === undefined) return 0
    this.#recentMs.push(pageMs)
    if (this.#recentMs.length > recentCommits) this.#recentMs.shift()
    const sorted = this.#recentMs.toSorted((a, b) => a - b)
    const usual = sorted[Math.floor(sorted.length / 10)] ?? pageMs
    return pageMs > minSlowMs && pageMs > latencyFactor * usual ? 1 : 0
  }

  async #mustPause(): Promise<boolean> {
    const { isPaused, onPause } = this.#settings
    if (isPaused === undefined) return false
    if (!this.#isPaused && performance.now() - this.#askedMs < pollMs) return false
    this.#askedMs = performance.now()
    const mustPause = await isPaused()
    if (mustPause !== this.#isPaused) onPause(mustPause)
    this.#isPaused = mustPause
    return mustPause
  }
}
