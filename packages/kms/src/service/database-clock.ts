/**
 * The clock of the database, which is the same for all nodes: read once in a while, and told on from there by a clock of
 * this process that nobody can set.
 */

import type { KeyStore } from './key-store.ts'

const everyMs = 60_000

export class DatabaseClock {
  readonly #store: Pick<KeyStore, 'now'>
  readonly #timer: NodeJS.Timeout
  /** What the database showed when `performance.now()` was 0. */
  #originMs = 0

  private constructor(store: Pick<KeyStore, 'now'>) {
    this.#store = store
    // Until it answers again, time goes on from what it last said.
    this.#timer = setInterval(() => void this.#read().catch(() => undefined), everyMs).unref()
  }

  /** @throws ServiceError `storage_unavailable`. */
  static async open(store: Pick<KeyStore, 'now'>): Promise<DatabaseClock> {
    const clock = new DatabaseClock(store)
    try {
      await clock.#read()
      return clock
    } catch (error) {
      clock.close()
      throw error
    }
  }

  /** Milliseconds since 1970, whole. */
  readonly now = (): number => Math.round(this.#originMs + performance.now())

  close(): void {
    clearInterval(this.#timer)
  }

  async #read(): Promise<void> {
    const asked = performance.now()
    const shown = await this.#store.now()
    // It was read somewhere between the question and the answer.
    this.#originMs = shown - (asked + performance.now()) / 2
  }
}
