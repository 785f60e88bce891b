/** Tells values that are in longhold's form already from all others, by their first bytes. */

import { toHex } from '@longhold/core'

import type { Cell, SourceRow } from '../sources/row-source.ts'

export interface LongholdValue {
  readonly kind: 'record' | 'envelope'
  /** Hexadecimal. */
  readonly keyId: string
}

const prefixBytes = 4
const keyIdBytes = 16
/** Of a record, the smaller of the two (SPEC §6.1). */
const minBytes = 92
const headChars = 28 // 21 bytes: prefix, key id and one more

/** Undefined for whatever is not longhold's. Whether it opens is another question. */
export function longholdValue(cell: Cell | undefined): LongholdValue | undefined {
  if (typeof cell === 'string') {
    if (!cell.startsWith('TEh') || cell.length < Math.ceil((minBytes * 4) / 3)) return undefined
    if (!/^[\w-]+$/.test(cell)) return undefined
    return ofHead(Buffer.from(cell.slice(0, headChars), 'base64url'))
  }
  if (!(cell instanceof Uint8Array) || cell.length < minBytes) return undefined
  return ofHead(cell)
}

function ofHead(head: Uint8Array): LongholdValue | undefined {
  if (head[0] !== 0x4c || head[1] !== 0x48) return undefined
  const kind = head[2] === 0x52 ? 'record' : head[2] === 0x45 ? 'envelope' : undefined
  if (kind === undefined) return undefined
  return { kind, keyId: toHex(head.subarray(prefixBytes, prefixBytes + keyIdBytes)) }
}

/** Nothing is there: every column of the layout is NULL. What could not be read is not nothing. */
export function isEmpty({ cells, problem }: SourceRow, ownColumns: number): boolean {
  const isRead = problem === undefined || problem === 'bad_id'
  return isRead && cells.slice(0, ownColumns).every((cell) => cell === null)
}
