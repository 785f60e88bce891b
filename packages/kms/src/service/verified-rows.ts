/**
 * Checks the MAC of a row that was read. Rows that were checked before are kept, a bounded number of them: one that
 * comes back the same in every column needs no second HMAC.
 */

import { equalBytes } from '@longhold/core'

import { integrityViolation } from './errors.ts'
import type { RowMacs } from './row-mac.ts'
import { columnsOf, keyColumnsOf, tableNames } from './rows.ts'
import type { Rows, Stored, TableName } from './rows.ts'

const maxKept = 2048

export class VerifiedRows {
  readonly #macs: RowMacs
  readonly #kept = new Map<string, Readonly<Record<string, unknown>>>()
  readonly #columns = new Map(tableNames.map((table) => [table, ['generation', 'mac', ...columnsOf(table)]]))

  constructor(macs: RowMacs) {
    this.#macs = macs
  }

  /**
   * @returns The same row.
   * @throws ServiceError `integrity_violation`.
   */
  check<T extends TableName>(table: T, row: Stored<Rows[T]>): Stored<Rows[T]> {
    // Rows are records of the columns of their table.
    const values = row as unknown as Readonly<Record<string, unknown>>
    const name = rowName(table, values)
    const known = this.#kept.get(name)
    if (known !== undefined && this.#isSame(table, known, values)) return row
    checkRow(this.#macs, table, row)
    this.#kept.delete(name)
    // Bytes of the copy are its own: the row given may be changed by whoever gets it.
    this.#kept.set(name, structuredClone(values))
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > maxKept && oldest !== undefined) this.#kept.delete(oldest)
    return row
  }

  #isSame(table: TableName, a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>) {
    return this.#columns.get(table)?.every((name) => sameValue(a[name], b[name])) ?? false
  }
}

/** @throws ServiceError `integrity_violation`. */
export function checkRow<T extends TableName>(
  macs: RowMacs,
  table: T,
  row: Stored<Rows[T]>,
): { addend: Uint8Array } {
  const { mac, addend } = macs.tag(table, row.generation, row)
  if (!equalBytes(mac, row.mac)) throw integrityViolation(`the row ${rowName(table, row)} in the database`)
  return { addend }
}

/** For people: the table, and what names the row there. */
export function rowName(table: TableName, row: object): string {
  const values = row as Readonly<Record<string, unknown>>
  const id = keyColumnsOf(table).map((column) => {
    const value = values[column]
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value)
  })
  return `${table} ${id.join('/')}`
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0
  return sameJson(a, b)
}

/** Of what comes out of JSON: as `canonicalJson` has it, members of objects may be in another order. */
function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((one, index) => sameJson(one, b[index]))
  }
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))]
  return (
    left.length === right.size &&
    left.every(([name, one]) => right.has(name) && sameJson(one, right.get(name)))
  )
}
