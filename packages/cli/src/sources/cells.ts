/** What sources ask of a single cell. */

import { Problem } from './problem.ts'
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

/** Cells as a text that keeps their types, and back. */
export function encodeCells(cells: readonly Cell[]): string {
  return JSON.stringify(
    cells.map((cell) => {
      if (cell instanceof Uint8Array) return { bytes: Buffer.from(cell).toString('base64') }
      return typeof cell === 'bigint' ? { integer: String(cell) } : cell
    }),
  )
}

export function decodeCells(text: string): Cell[] {
  // Written by encodeCells.
  const cells = JSON.parse(text) as (string | number | null | { bytes: string } | { integer: string })[]
  return cells.map((cell) => {
    if (typeof cell !== 'object' || cell === null) return cell
    return 'bytes' in cell ? Uint8Array.from(Buffer.from(cell.bytes, 'base64')) : BigInt(cell.integer)
  })
}

/** @throws Problem `wrong` when a run replaced other columns than are at hand. */
export function checkOriginals(
  originals: readonly { readonly cells: readonly Cell[] }[],
  columns: number,
): void {
  const other = originals.find(({ cells }) => cells.length !== columns)
  if (other === undefined) return
  throw new Problem('wrong', `the run replaced ${other.cells.length} columns, and ${columns} are named`, {
    hint: 'give the --format and the longhold.yaml that the run had',
  })
}
