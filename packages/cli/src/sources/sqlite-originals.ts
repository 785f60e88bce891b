/** Puts back what a run replaced in an SQLite table. */

import type Database from 'better-sqlite3'

import { checkOriginals, isSameCell } from './cells.ts'
import type { Journal } from './journal.ts'
import { putBackRows } from './row-source.ts'
import type { Cell, PutBack } from './row-source.ts'
import type { RunState } from './run-state.ts'
import { isConstraint } from './sqlite-errors.ts'
import { decodePosition, keyParameters, recordId } from './sqlite-keys.ts'
import { replaceSql, selectSql } from './sqlite-rows.ts'
import type { TableShape } from './sqlite-schema.ts'

export interface PutBackStep {
  readonly state: RunState
  readonly isOurs: (cell: Cell) => boolean
  readonly after: string | undefined
  readonly shape: TableShape
  readonly ownColumns: number
}

/** One step, inside a transaction. */
export function putBack(
  database: Database.Database,
  journal: Journal,
  { state: { runId }, isOurs, after, shape, ownColumns }: PutBackStep,
): PutBack | undefined {
  const originals = journal.originals(runId, after ?? '', putBackRows)
  const last = originals.at(-1)
  if (last === undefined) return undefined
  // By the key alone: VACUUM may have given rows other rowids since.
  const byKey = { ...shape, rowid: undefined }
  const current = database.prepare<unknown[], Cell[]>(selectSql(byKey, 'same')).raw(true)
  const replace = database.prepare(replaceSql(byKey, ownColumns, true))
  const cellsAt = 1 + 2 * shape.key.length + 1
  let restored = 0
  let changed = 0
  const kept: string[] = []
  checkOriginals(originals, ownColumns)
  for (const { place, cells } of originals) {
    const parts = decodePosition(place)
    const key = keyParameters(parts)
    const now = current.get(...key, ...key)?.slice(cellsAt, cellsAt + ownColumns)
    if (now === undefined || !isOurs(now[0] ?? null)) {
      changed++
      journal.forgetOriginal(runId, place)
      continue
    }
    const isBack = tries(database, () => {
      replace.run(...cells, ...key, ...key, ...now)
      const then = current.get(...key, ...key)?.slice(cellsAt, cellsAt + ownColumns)
      return (
        then !== undefined && cells.every((cell, index) => isSameCell(asStored(cell), asStored(then[index])))
      )
    })
    if (isBack) {
      restored++
      journal.forgetOriginal(runId, place)
    } else kept.push(recordId(parts) ?? place)
  }
  return { restored, changed, kept, after: last.place }
}

/** A trigger or a constraint may keep the row as it is: then nothing of this change stays. */
function tries(database: Database.Database, change: () => boolean): boolean {
  database.exec('SAVEPOINT put_back')
  let isDone = false
  try {
    isDone = change()
  } catch (error) {
    // A trigger may have ended the whole transaction.
    if (!isConstraint(error) || !database.inTransaction) throw error
  }
  if (!isDone) database.exec('ROLLBACK TO put_back')
  database.exec('RELEASE put_back')
  return isDone
}

/** Whole numbers come as bigint, and others as numbers. */
function asStored(cell: Cell | undefined): Cell {
  return typeof cell === 'number' && Number.isInteger(cell) ? BigInt(cell) : (cell ?? null)
}
