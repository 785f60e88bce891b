/** Pages of a table of PostgreSQL: how they are read, and how one is written back inside a transaction of the caller's. */

import type { ClientBase } from 'pg'

import { cellBytes } from './cells.ts'
import * as journal from './postgres-journal.ts'
import { replaceRows } from './postgres-replace.ts'
import type { RowChange } from './postgres-replace.ts'
import { decodeKey, encodeKey, rowId, rowOf, selectSql } from './postgres-rows.ts'
import type { PostgresResult, PostgresRow } from './postgres-rows.ts'
import { formOf } from './postgres-schema.ts'
import type { ColumnKind, PostgresShape } from './postgres-schema.ts'
import type { Cell, DecidedPage, Page, PageLimits, SourceRow } from './row-source.ts'
import type { PageOutcome, RunState } from './run-state.ts'

/** What a page keeps to find its rows again. */
class TablePage implements Page {
  readonly rows: readonly SourceRow[]
  readonly found: readonly PostgresRow[]
  readonly position: string
  readonly isLast: boolean

  constructor(rows: readonly SourceRow[], found: readonly PostgresRow[], position: string, isLast: boolean) {
    this.rows = rows
    this.found = found
    this.position = position
    this.isLast = isLast
  }
}

/** Of what keys: beyond the first one, and up to the second. */
export interface KeyRange {
  readonly after?: string | undefined
  readonly until?: string | undefined
}

export class PostgresPages {
  readonly #shape: PostgresShape
  readonly #ownColumns: number
  readonly #compares: boolean

  constructor(shape: PostgresShape, ownColumns: number, compares: boolean) {
    this.#shape = shape
    this.#ownColumns = ownColumns
    this.#compares = compares
  }

  async read(
    client: Pick<ClientBase, 'query'>,
    { after, until }: KeyRange,
    { maxRows, maxBytes }: PageLimits,
  ): Promise<Page> {
    const key = after === undefined || after === '' ? [] : decodeKey(after)
    const end = until === undefined ? [] : decodeKey(until)
    const sql = selectSql(this.#shape, { hasAfter: key.length > 0, hasUntil: end.length > 0 })
    const { rows } = await client.query<PostgresResult>(sql, [maxRows, maxBytes, ...key, ...end])
    const found = rows.map((row) => rowOf(row, this.#shape.columns.length))
    const last = found.at(-1)
    const isLast = last === undefined || (last.met < maxRows && found.length === last.met)
    const position = last === undefined ? (after ?? '') : encodeKey(last)
    return new TablePage(
      found.map((row) => this.#rowOf(row)),
      found,
      position,
      isLast,
    )
  }

  /** Replaces what still is what was read, with the originals, the dead letters and the count of its data key. */
  async write(
    client: ClientBase,
    { runId, keepsOriginals }: Pick<RunState, 'runId' | 'keepsOriginals'>,
    decided: DecidedPage,
  ): Promise<PageOutcome> {
    const { page, replacements, keyId } = decided
    const own = this.#shape.columns.slice(0, this.#ownColumns)
    const rows = [...replacements].map(([index, replacement]) => {
      const row = page.rows[index]
      const found = page instanceof TablePage ? page.found[index] : undefined
      if (row === undefined || found === undefined) throw new RangeError('a page of another source')
      return { row, found, replacement }
    })
    const changes = rows.map(({ found, replacement }): RowChange => {
      // The ciphertext's column takes the record, the others of the layout become NULL.
      const next = own.map(({ kind }, at) => (at === 0 ? asStored(kind, replacement) : null))
      return { key: found.key, old: found.cells.slice(0, own.length), next }
    })
    const outcomes = await replaceRows(client, this.#shape, own, changes, this.#compares)
    if (keepsOriginals) {
      const replaced = changes.filter((_, at) => outcomes[at] === 'replaced')
      const originals = replaced.map(({ key, old }) => ({ place: encodeKey({ key }), cells: old }))
      await journal.keepOriginals(client, runId, originals)
    }
    const dead = [...decided.dead]
    let migrated = 0
    let bytesBefore = 0
    let bytesAfter = 0
    rows.forEach(({ row, replacement }, at) => {
      const outcome = outcomes[at]
      if (outcome === 'constraint' || outcome === 'not_replaced') {
        dead.push({ locator: row.locator, format: undefined, keyId: undefined, code: outcome })
      }
      if (outcome !== 'replaced') return
      migrated++
      for (const cell of row.cells.slice(0, this.#ownColumns)) bytesBefore += cellBytes(cell)
      bytesAfter += cellBytes(replacement)
    })
    await journal.addDead(client, runId, dead)
    if (keyId !== undefined && migrated > 0) {
      await journal.countMessages(client, keyId, migrated, decided.plaintextBytes)
    }
    return { migrated, broken: dead.length - decided.dead.length, bytesBefore, bytesAfter }
  }

  #rowOf(found: PostgresRow): SourceRow {
    const { columns } = this.#shape
    const [first] = columns
    const id = rowId(found)
    return {
      locator: id,
      id,
      cells: found.cells.map((cell, index) => (columns[index]?.kind === 'json' ? ofJson(cell) : cell)),
      form: first === undefined ? 'text' : formOf(first),
      problem: found.isLarge ? 'limit_exceeded' : undefined,
    }
  }
}

/** A column of JSON holds a text of its own as a JSON string, and everything else as it is written. */
export function ofJson(cell: Cell): Cell {
  if (typeof cell !== 'string' || !cell.startsWith('"')) return cell
  return JSON.parse(cell) as string // what the database holds is JSON, and this is a string
}

function asStored(kind: ColumnKind, replacement: string | Uint8Array): string | Uint8Array {
  return kind === 'json' && typeof replacement === 'string' ? JSON.stringify(replacement) : replacement
}
