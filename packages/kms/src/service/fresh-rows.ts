/**
 * Rows as they were read and checked since the database last changed: between two writes, a hundred requests may ask for the
 * same token and the same key. Whether it changed is asked each time, so that nobody gets a row that is no longer there;
 * a request asks as it begins, and once does for all that is read in the same turn of the event loop.
 */

import type { KeyStore } from './key-store.ts'

const maxRows = 1000

export class FreshRows {
  readonly #store: Pick<KeyStore, 'stamp'>
  readonly #rows = new Map<string, object>()
  #stamp: number | undefined
  /** Somebody looked in this turn, and nothing was written since. */
  #isCurrent = false

  constructor(store: Pick<KeyStore, 'stamp'>) {
    this.#store = store
  }

  /** Asks now. What is read until this turn of the event loop ends is at least as new as this. */
  look(): void {
    this.#see(this.#store.stamp())
    if (this.#isCurrent || this.#stamp === undefined) return
    this.#isCurrent = true
    setImmediate(() => {
      this.#isCurrent = false
    })
  }

  /** Something was written: whoever reads next asks again. */
  written(): void {
    this.#isCurrent = false
  }

  /**
   * The row of that name, or what `read` gives, which is kept and can no longer be changed.
   *
   * @param name undefined: nothing is kept.
   */
  async get<R extends object>(
    name: string | undefined,
    read: () => Promise<R | undefined>,
  ): Promise<R | undefined> {
    // Asked before the row is read: one that is newer than this is asked for again the next time.
    if (!this.#isCurrent) this.#see(this.#store.stamp())
    const stamp = this.#stamp
    if (name === undefined || stamp === undefined) return await read()
    const known = this.#rows.get(name)
    // Kept under this name by the same `read`.
    if (known !== undefined) return known as R
    const row = await read()
    if (row !== undefined && this.#stamp === stamp && this.#rows.size < maxRows) {
      this.#rows.set(name, Object.freeze(row))
    }
    return row
  }

  #see(stamp: number | undefined): void {
    if (stamp === this.#stamp) return
    this.#rows.clear()
    this.#stamp = stamp
  }
}
