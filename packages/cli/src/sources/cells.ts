/** What sources ask of a single cell. */

import type { Cell } from './row-source.ts'

export function cellBytes(cell: Cell): number {
  if (typeof cell === 'string') return Buffer.byteLength(cell)
  if (cell instanceof Uint8Array) return cell.length
  return cell === null ? 0 : 8
}

/** True for the same type and the same value. */
export function isSameCell(a: Cell, b: Cell): boolean {
  return a instanceof Uint8Array ? b instanceof Uint8Array && Buffer.compare(a, b) === 0 : Object.is(a, b)
}
