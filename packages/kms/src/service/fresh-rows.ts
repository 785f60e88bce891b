/**
 * Rows as they were read and checked since the database last changed: between two writes, a hundred requests may ask for the
 * same token and the same key. Whether it changed is asked each time, so that nobody gets a row that is no longer there;
 * a request asks as it begins, and once does for all that is read in the same turn of the event loop.
 */

import { performance } from 'node:perf_hooks'

import type { KeyStore } from './key-store.ts'

const maxRows = 1000

export class FreshRows {
  readonly #store: Pick<KeyStore, 'stamp'>
  readonly #rows = new Map<string, object>()
  #stamp: number | undefined
  /** In which turn of the event loop somebody looked, where nothing was written since. */
  #lookedIn: number | undefined

  constructor(store: Pick<KeyStore, 'stamp'>) {
    this.#store = store
  }

  /**
   * Asks now, once for all requests that were there when this turn of the event loop began: whoever sent one after a change
   * comes in a later turn. What is read until it ends is at least as new.
   */
  look(): void {
    const turn = thisTurn()
    if (this.#lookedIn === turn) return
    this.#see(this.#store.stamp())
    this.#lookedIn = turn
  }

  /** Something was written: whoever reads next asks again. */
  written(): void {
    this.#lookedIn = undefined
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
    if (this.#lookedIn !== thisTurn()) this.#see(this.#store.stamp())
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

/** Counted by libuv right before it asks which sockets have something to read. */
function thisTurn(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount
}
