/**
 * What the rows of the tables that only grow add up to, as far as this process can know without reading them again: they
 * were read once, and since then every epoch was its own. Where somebody else wrote in between, it is not known.
 */

import { HeadChange } from './cluster-head.ts'
import type { RowTotal } from './key-store.ts'
import type { TableName } from './rows.ts'

/**
 * What is only ever added to them: no row of theirs is changed or removed, and nothing is allowed because one is missing.
 * They may be large, and are not read whole at every verification.
 */
export const growingTables: readonly TableName[] = ['issued_data_keys']

/** What one epoch added. */
interface Growth {
  readonly epoch: number
  readonly total: RowTotal
}

export class GrownRows {
  /** At `#from`, and then epoch by epoch up to `#to`. */
  #base: RowTotal | undefined
  #from = 0
  /** Up to here every epoch since `#first` was of this process. */
  #first = 0
  #to = 0
  #growth: Growth[] = []

  /** This process wrote an epoch. */
  wrote(epoch: number, total: RowTotal): void {
    if (epoch !== this.#to + 1) {
      this.#base = undefined
      this.#growth = []
      this.#first = epoch
    }
    this.#to = epoch
    if (total.rows > 0) this.#growth.push({ epoch, total })
  }

  /** All of them were read, at an epoch. */
  read(epoch: number, total: RowTotal): void {
    if (this.#to === 0) [this.#first, this.#to] = [epoch + 1, epoch]
    // Whatever was written after it has to be known.
    if (epoch + 1 < this.#first || epoch > this.#to) return
    this.#base = total
    this.#from = epoch
    this.#growth = this.#growth.filter((one) => one.epoch > epoch)
  }

  /** undefined: not known. */
  at(epoch: number): RowTotal | undefined {
    if (this.#base === undefined || epoch < this.#from || epoch > this.#to) return undefined
    const sum = new HeadChange()
    sum.addTotal(this.#base)
    for (const one of this.#growth) if (one.epoch <= epoch) sum.addTotal(one.total)
    return sum.total
  }
}
