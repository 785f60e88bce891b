/** How rows of a PostgreSQL table are read in order, found again, and named to people. */

import { quoted } from './postgres-schema.ts'
import type { PostgresColumn, PostgresShape } from './postgres-schema.ts'

/** A row as it was read. */
export interface PostgresRow {
  /** The parts of the primary key as text, bytes in hexadecimal. */
  readonly key: readonly string[]
  /** Bytes of bytea columns, the text of all others. */
  readonly cells: readonly (string | Uint8Array | null)[]
  /** A cell is larger than one that is read. */
  readonly isLarge: boolean
  /** How many rows were met before the bytes of the page ended it. */
  readonly met: number
}

/** A result of `selectSql`; cells are `c0`, `c1`, … */
export interface PostgresResult {
  readonly key: readonly string[]
  readonly is_large: boolean
  readonly met: string
}

export function rowOf(result: PostgresResult, columns: number): PostgresRow {
  const named: Readonly<Record<string, unknown>> = { ...result }
  const cells = Array.from(
    { length: columns },
    (_, index) => named[`c${index}`] as string | Uint8Array | null,
  ) // cast so in selectSql
  return { key: result.key, cells, isLarge: result.is_large, met: Number(result.met) }
}

/** 64 MiB of plaintext in hexadecimal, and some. Larger cells are not read into memory. */
const maxCellBytes = 136 * 1024 * 1024

/**
 * A page: parameters are the most rows, the most bytes (one row may be larger), the key that was last, and the last one that is
 * wanted, where there are. The length of a text or of bytes is known without reading them.
 */
export function selectSql(
  { from, key, columns }: PostgresShape,
  { hasAfter, hasUntil }: { readonly hasAfter: boolean; readonly hasUntil: boolean },
): string {
  const order = orderOf(key)
  const bounds = [
    ...(hasAfter ? [`(${order}) > (${keyParameters(key, 3)})`] : []),
    ...(hasUntil ? [`(${order}) <= (${keyParameters(key, 3 + (hasAfter ? key.length : 0))})`] : []),
  ]
  const lengths = columns.map(({ name, kind }) => `coalesce(octet_length(${lengthOf(name, kind)}), 0)`)
  const cells = columns.map(({ name, kind }) => (kind === 'bytes' ? quoted(name) : `${quoted(name)}::text`))
  const names = cells.map((_, index) => `c${index}`)
  return `
    SELECT key, is_large, met, ${names.map((name) => `CASE WHEN is_large THEN NULL ELSE ${name} END AS ${name}`).join(', ')}
      FROM (
        SELECT *, count(*) OVER () AS met,
               sum(bytes) OVER (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - bytes AS before
          FROM (
            SELECT row_number() OVER (ORDER BY ${order}) AS place,
                   ARRAY[${key.map(keyText).join(', ')}] AS key,
                   ${lengths.join(' + ')} AS bytes,
                   greatest(${lengths.join(', ')}) > ${maxCellBytes} AS is_large,
                   ${cells.map((cell, index) => `${cell} AS c${index}`).join(', ')}
              FROM ${from}
             ${bounds.length === 0 ? '' : `WHERE ${bounds.join(' AND ')}`}
             ORDER BY ${order}
             LIMIT $1::int8
          ) AS met_rows
      ) AS page
     WHERE before < $2::int8 ORDER BY place`
}

/** The key of the row that is so many rows further: parameters are how many, less one, and the key that was last. */
export function boundarySql({ from, key }: PostgresShape, hasAfter: boolean): string {
  const order = orderOf(key)
  return `
    SELECT ARRAY[${key.map(keyText).join(', ')}] AS key FROM ${from}
     ${hasAfter ? `WHERE (${order}) > (${keyParameters(key, 2)})` : ''}
     ORDER BY ${order} OFFSET $1::int8 LIMIT 1`
}

function orderOf(key: PostgresShape['key']): string {
  return key.map(({ name }) => quoted(name)).join(', ')
}

function keyParameters(key: PostgresShape['key'], from: number): string {
  return key.map(({ type }, index) => fromKeyText(`$${index + from}::text`, type)).join(', ')
}

/**
 * Replaces rows that are what was read: parameters are lists, of each column's new value, of each part of the keys, of each
 * column's old value, all as `selectSql` reads them. Gives the places of those replaced, from 1, and whether they now
 * hold what they were given.
 *
 * @param compares False for a test that shows what happens without.
 */
export function replaceSql(shape: PostgresShape, own: readonly PostgresColumn[], compares: boolean): string {
  const set = own.map((column, index) => `${quoted(column.name)} = ${newValue(column, index)}`)
  const kept = own.map(
    (column, index) =>
      `${asRead(column, 't.')} IS NOT DISTINCT FROM ${asRead(column, '', newValue(column, index))}`,
  )
  return `
    UPDATE ${shape.from} AS t SET ${set.join(', ')}
      FROM ${given(shape, own)}
     WHERE ${[...sameKey(shape), ...(compares ? own.map(sameValue) : [])].join(' AND ')}
    RETURNING g.place, ${kept.join(' AND ')} AS kept`
}

/** Which rows still are what was read: parameters as `replaceSql`. */
export function unchangedSql(shape: PostgresShape, own: readonly PostgresColumn[]): string {
  return `
    SELECT g.place FROM ${shape.from} AS t, ${given(shape, own)}
     WHERE ${[...sameKey(shape), ...own.map(sameValue)].join(' AND ')}`
}

/** What rows hold now, and keep until the transaction ends: parameters are lists of each part of the keys. */
export function currentSql(shape: PostgresShape, own: readonly PostgresColumn[]): string {
  const lists = shape.key.map((_, index) => `$${index + 1}::text[]`).join(', ')
  const names = [...shape.key.map((_, index) => `k${index}`), 'place'].join(', ')
  const cells = own.map((column, index) => `${asRead(column, 't.')} AS c${index}`)
  return `
    SELECT g.place, ${cells.join(', ')}
      FROM ${shape.from} AS t, unnest(${lists}) WITH ORDINALITY AS g (${names})
     WHERE ${sameKey(shape).join(' AND ')} FOR UPDATE OF t`
}

function given({ key }: PostgresShape, own: readonly PostgresColumn[]): string {
  const list = ({ kind }: PostgresColumn): string => (kind === 'bytes' ? 'bytea[]' : 'text[]')
  const types = [...own.map(list), ...key.map(() => 'text[]'), ...own.map(list)]
  const names = [
    ...own.map((_, index) => `n${index}`),
    ...key.map((_, index) => `k${index}`),
    ...own.map((_, index) => `o${index}`),
    'place',
  ]
  return `unnest(${types.map((type, index) => `$${index + 1}::${type}`).join(', ')})
    WITH ORDINALITY AS g (${names.join(', ')})`
}

function sameKey({ key }: PostgresShape): string[] {
  return key.map(({ name, type }, index) => `t.${quoted(name)} = ${fromKeyText(`g.k${index}`, type)}`)
}

/** Compares bytes, whatever collation a column has, and whatever JSON takes for the same. */
function sameValue(column: PostgresColumn, index: number): string {
  return `${asRead(column, 't.')} IS NOT DISTINCT FROM ${column.kind === 'bytes' ? `g.o${index}` : `g.o${index} COLLATE "C"`}`
}

/** A column, or another expression of its type, as `selectSql` reads it. */
function asRead(
  { name, kind }: PostgresColumn,
  prefix: string,
  expression = `${prefix}${quoted(name)}`,
): string {
  return kind === 'bytes' ? expression : `(${expression})::text COLLATE "C"`
}

/** A new value as the column takes it. */
function newValue({ kind, type }: PostgresColumn, index: number): string {
  // A cast to varchar(40) would cut a record; an assignment is refused.
  return kind === 'bytes' || kind === 'text' ? `g.n${index}` : `g.n${index}::${type}`
}

function lengthOf(name: string, kind: PostgresColumn['kind']): string {
  return kind === 'bytes' || kind === 'text' ? quoted(name) : `${quoted(name)}::text`
}

function keyText({ name, kind }: PostgresColumn): string {
  return kind === 'bytes' ? `encode(${quoted(name)}, 'hex')` : `${quoted(name)}::text`
}

function fromKeyText(text: string, type: string): string {
  return type === 'bytea' ? `decode(${text}, 'hex')` : `${text}::${type}`
}

/** The `id` of a record context: decimal, the text itself, a lower-case UUID, hexadecimal of bytes; several columns as JSON. */
export function rowId({ key }: Pick<PostgresRow, 'key'>): string {
  const [only = ''] = key
  return key.length === 1 ? only : JSON.stringify(key)
}

/** A position in the journal. */
export function encodeKey({ key }: Pick<PostgresRow, 'key'>): string {
  return JSON.stringify(key)
}

export function decodeKey(position: string): string[] {
  return JSON.parse(position) as string[] // written by encodeKey
}
