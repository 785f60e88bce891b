/** How rows of an SQLite table are read in order, found again and replaced. */

import { keyColumns, keyParameter } from './sqlite-keys.ts'
import type { KeyPart } from './sqlite-keys.ts'
import { quoted } from './sqlite-schema.ts'
import type { TableShape } from './sqlite-schema.ts'

/** 64 MiB of plaintext in hexadecimal, and some. Larger cells are not read into memory. */
const maxCellBytes = 136 * 1024 * 1024

/** The first condition finds the row by its index; the others compare bytes, whatever collation a column has. */
export function whichRowSql({ key, rowid }: Pick<TableShape, 'key' | 'rowid'>): string[] {
  return [
    ...(rowid === undefined ? key.map((name) => `${quoted(name)} = ${keyParameter}`) : [`${rowid} = ?`]),
    ...key.map((name) => `${quoted(name)} IS ${keyParameter} COLLATE BINARY`),
  ]
}

/** The first page, the next one, or the row that was read before. */
export function selectSql(
  { table, key, columns, rowid }: TableShape,
  which: 'first' | 'next' | 'same',
): string {
  const names = columns.map(({ name }) => quoted(name))
  const order = rowid === undefined ? key.map(quoted) : [rowid]
  const results = [
    rowid ?? 'NULL',
    ...keyColumns({ key }),
    names.map((name) => `octet_length(${name}) > ${maxCellBytes}`).join(' OR '),
    ...names.map((name) => `CASE WHEN octet_length(${name}) > ${maxCellBytes} THEN NULL ELSE ${name} END`),
  ]
  const after =
    rowid === undefined
      ? `(${order.join(', ')}) > (${order.map(() => keyParameter).join(', ')})`
      : `${rowid} > ?`
  const select = `SELECT ${results.join(', ')} FROM ${quoted(table)}`
  if (which === 'same') return `${select} WHERE ${whichRowSql({ key, rowid }).join(' AND ')}`
  return `${select} ${which === 'next' ? `WHERE ${after} ` : ''}ORDER BY ${order.join(', ')} LIMIT ?`
}

export function positionOf({
  rowid,
  parts,
}: {
  rowid: bigint | undefined
  parts: readonly KeyPart[]
}): readonly KeyPart[] {
  return rowid === undefined ? parts : [{ type: 'integer', value: rowid }]
}

/**
 * Replaces the columns of a layout. Parameters: the new values, which row, and the old values where they are compared: as bytes,
 * whatever collation a column has.
 */
export function replaceSql(
  { table, key, columns, rowid }: TableShape,
  ownColumns: number,
  compares: boolean,
): string {
  const own = columns.slice(0, ownColumns).map(({ name }) => quoted(name))
  const where = [...whichRowSql({ key, rowid })]
  if (compares) where.push(...own.map((name) => `${name} IS ? COLLATE BINARY`))
  return `UPDATE ${quoted(table)} SET ${own.map((name) => `${name} = ?`).join(', ')} WHERE ${where.join(' AND ')}`
}
