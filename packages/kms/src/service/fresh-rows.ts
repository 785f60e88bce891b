/**
 * Rows as they were read and checked since the database last changed: between two writes, a hundred requests may ask for the
 * same token and the same key. Whether it changed is asked each time, so that nobody gets a row that is no longer there.
 */

import type { KeyStore } from './key-store.ts'

const maxRows = 1000

export class FreshRows {
  readonly #store: Pick<KeyStore, 'stamp'>
  readonly #rows = new Map<string, object>()
  #stamp: number | undefined

  constructor(store: Pick<KeyStore, 'stamp'>) {
    this.#store = store
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
    const stamp = this.#store.stamp()
    if (name === undefined || stamp === undefined) return await read()
    if (stamp !== this.#stamp) {
      this.#rows.clear()
      this.#stamp = stamp
    }
    const known = this.#rows.get(name)
    // Kept under this name by the same `read`.
    if (known !== undefined) return known as R
    const row = await read()
    if (row !== undefined && this.#stamp === stamp && this.#rows.size < maxRows) {
      this.#rows.set(name, Object.freeze(row))
    }
    return row
  }
}
