/**
 * The cluster head vouches for all rows together: how many there are, and the sum of their addends modulo 2²⁵⁶. A row
 * that was taken away, put back as it once was, or added from elsewhere does not fit it, though each row's own MAC may.
 * Every write advances it by one epoch, for one subtraction and one addition for each row it changes.
 *
 * The sum is stored masked by a pad of its epoch. Otherwise whoever kept old databases could take their sums from each
 * other, learn addends by that, and look for old rows that add up to the sum of now.
 */

import { equalBytes } from '@longhold/core'

import { integrityViolation } from './errors.ts'
import type { HeadRow, RowTotal } from './key-store.ts'
import type { RowMacs } from './row-mac.ts'

const words = 8
const one = Uint32Array.of(0, 0, 0, 0, 0, 0, 0, 1)

/** What a write does to count and sum. */
export class HeadChange {
  #rows = 0
  readonly #sum = new Uint32Array(words)

  add(addend: Uint8Array): void {
    this.#rows += 1
    addTo(this.#sum, wordsOf(addend))
  }

  subtract(addend: Uint8Array): void {
    this.#rows -= 1
    addTo(this.#sum, negated(wordsOf(addend)))
  }

  addTotal({ rows, sum }: RowTotal): void {
    this.#rows += rows
    addTo(this.#sum, sum)
  }

  get total(): RowTotal {
    return { rows: this.#rows, sum: Uint32Array.from(this.#sum) }
  }

  /** The head after it; `undefined` before: the first one. */
  applyTo(head: ClusterHead | undefined, epoch = (head?.epoch ?? 0) + 1): ClusterHead {
    const sum = Uint32Array.from(head?.sum ?? new Uint32Array(words))
    addTo(sum, this.#sum)
    return { epoch, rowCount: (head?.rowCount ?? 0) + this.#rows, sum }
  }
}

export interface ClusterHead {
  readonly epoch: number
  readonly rowCount: number
  /** Eight words, the highest first. */
  readonly sum: Uint32Array
}

export function sameRows(a: ClusterHead, b: ClusterHead): boolean {
  return a.rowCount === b.rowCount && a.sum.every((word, index) => word === b.sum[index])
}

/** As it is stored. */
export function sealHead(macs: RowMacs, { epoch, rowCount, sum }: ClusterHead): HeadRow {
  const masked = Uint32Array.from(sum)
  addTo(masked, padOf(macs, epoch))
  const maskedSum = bytesOf(masked)
  return { epoch, rowCount, maskedSum, mac: headMac(macs, epoch, rowCount, maskedSum) }
}

/** @throws ServiceError `integrity_violation` for a head that this service did not make. */
export function openHead(macs: RowMacs, { epoch, rowCount, maskedSum, mac }: HeadRow): ClusterHead {
  if (maskedSum.length !== 4 * words || !equalBytes(headMac(macs, epoch, rowCount, maskedSum), mac)) {
    throw integrityViolation('the cluster head in the database')
  }
  const sum = wordsOf(maskedSum)
  addTo(sum, negated(padOf(macs, epoch)))
  return { epoch, rowCount, sum }
}

function headMac(macs: RowMacs, epoch: number, rowCount: number, maskedSum: Uint8Array): Uint8Array {
  return macs.mac('longhold/kms/v1/cluster-head', macs.clusterId, epoch, rowCount, maskedSum).mac
}

function padOf(macs: RowMacs, epoch: number): Uint32Array {
  return wordsOf(macs.mac('longhold/kms/v1/cluster-head-mask', macs.clusterId, epoch).mac)
}

function addTo(sum: Uint32Array, addend: Uint32Array): void {
  let carry = 0
  for (let index = words - 1; index >= 0; index--) {
    const total = (sum[index] ?? 0) + (addend[index] ?? 0) + carry
    sum[index] = total
    carry = total > 0xffff_ffff ? 1 : 0
  }
}

/** Its complement to 2²⁵⁶. */
function negated(value: Uint32Array): Uint32Array {
  const result = value.map((word) => ~word)
  addTo(result, one)
  return result
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const result = new Uint32Array(words)
  for (let index = 0; index < words; index++) result[index] = view.getUint32(4 * index)
  return result
}

function bytesOf(sum: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * words)
  const view = new DataView(bytes.buffer)
  for (const [index, word] of sum.entries()) view.setUint32(4 * index, word)
  return bytes
}
