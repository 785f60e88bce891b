/** Verifies all rows again and again: every minute, and soon after somebody asked for it; where that takes long, less often. */

import { ServiceError } from './errors.ts'

/** Between two rounds, so many times as long as the last one took: however many rows there are, others come first. */
const restTimes = 4

export interface RowWatchOptions {
  /** @throws ServiceError `integrity_violation`, after which there is no further round. */
  readonly verify: () => Promise<unknown>
  readonly onViolation: (violation: ServiceError) => void
  readonly everyMs?: number
  /** However often somebody asks, the next round waits so long after the last one. */
  readonly gapMs?: number
}

export class RowWatch {
  readonly #options: RowWatchOptions
  readonly #everyMs: number
  readonly #gapMs: number
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined
  #isAskedFor = false
  #isOver = false
  #tookMs = 0

  constructor(options: RowWatchOptions) {
    this.#options = options
    this.#everyMs = options.everyMs ?? 60_000
    this.#gapMs = options.gapMs ?? 5000
    this.#waitFor(this.#everyMs)
  }

  /** Another wrote to the database, or a row was not what this service wrote. */
  request(): void {
    if (this.#isAskedFor || this.#isOver) return
    this.#isAskedFor = true
    // One that is under way may have passed what this is about.
    if (this.#round === undefined) this.#waitFor(this.#gapMs)
  }

  /** Waits for the round under way. */
  async close(): Promise<void> {
    this.#isOver = true
    clearTimeout(this.#timer)
    await this.#round
  }

  #waitFor(ms: number): void {
    clearTimeout(this.#timer)
    const restMs = restTimes * this.#tookMs
    this.#timer = setTimeout(
      () => {
        this.#round = this.#verify()
      },
      Math.max(ms, restMs),
    ).unref()
  }

  async #verify(): Promise<void> {
    this.#isAskedFor = false
    const begun = performance.now()
    try {
      await this.#options.verify()
    } catch (error) {
      // What could not be read now is read at the next round.
      if (error instanceof ServiceError && error.code === 'integrity_violation') {
        this.#isOver = true
        this.#options.onViolation(error)
      }
    }
    this.#tookMs = performance.now() - begun
    this.#round = undefined
    if (!this.#isOver) this.#waitFor(this.#isAskedFor ? this.#gapMs : this.#everyMs)
  }
}
