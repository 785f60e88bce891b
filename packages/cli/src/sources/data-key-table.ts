/** The table of wrapped keys that library and command line share (SPEC §12), as whoever rewraps sees it. */

import { accessSync } from 'node:fs'

import { toText } from '@longhold/core'
import Database from 'better-sqlite3'

import { fileProblem, Problem } from './problem.ts'
import { translate } from './sqlite-errors.ts'

export interface DataKeyTableOptions {
  readonly path: string
  /** The path as the person wrote it. */
  readonly shown: string
  readonly busyTimeoutMs: number
}

/** A row as SQLite gives it: BLOB columns as bytes, TEXT columns in text form. */
export interface DataKeyRow {
  readonly key_id: Uint8Array | string
  readonly wrapped_key: Uint8Array | string
  /** JSON, an object of strings. */
  readonly key_context: string
  readonly name: string | null
}

export interface Replacement {
  /** As it was read: another wrapped key in its place is not replaced. */
  readonly row: DataKeyRow
  readonly wrappedKey: Uint8Array
  /** A `writing` data key becomes `reading` in the same step. */
  readonly stopWriting: boolean
}

const selectRows = 'SELECT key_id, wrapped_key, key_context, name FROM longhold_data_keys'
const replaceRow = `
  UPDATE longhold_data_keys
  SET wrapped_key = ?, updated_at = ?, state = CASE WHEN ? AND state = 'writing' THEN 'reading' ELSE state END
  WHERE key_id = ? AND wrapped_key = ?`

export class DataKeyTable implements Disposable {
  readonly #database: Database.Database
  readonly #shown: string

  /** @throws Problem `wrong` for a file that is no database or has no such table, `stopped` when it is locked. */
  constructor({ path, shown, busyTimeoutMs }: DataKeyTableOptions) {
    this.#shown = shown
    try {
      // Checked by name first: SQLite would say only that it cannot open it.
      accessSync(path)
    } catch (error) {
      throw fileProblem(error, shown, 'read')
    }
    this.#database = this.#do(() => new Database(path, { fileMustExist: true, timeout: busyTimeoutMs }))
    try {
      this.#do(() => checkTable(this.#database, shown))
      // What replaces a wrapped key must be on the disk before anybody relies on it.
      this.#do(() => this.#database.pragma('synchronous = FULL'))
    } catch (error) {
      this.#database.close()
      throw error
    }
  }

  count(): number {
    const sql = 'SELECT count(*) AS rows FROM longhold_data_keys'
    return this.#do(() => this.#database.prepare<[], { rows: number }>(sql).get()?.rows ?? 0)
  }

  /** The first rows in the order of their key ids, or those after `last`. */
  page(limit: number, last?: DataKeyRow): DataKeyRow[] {
    return this.#do(() =>
      last === undefined
        ? this.#database.prepare<[number], DataKeyRow>(`${selectRows} ORDER BY key_id LIMIT ?`).all(limit)
        : this.#database
            .prepare<[unknown, number], DataKeyRow>(`${selectRows} WHERE key_id > ? ORDER BY key_id LIMIT ?`)
            .all(last.key_id, limit),
    )
  }

  /** All in one transaction. @returns how many rows were still what was read, and are replaced. */
  replace(replacements: readonly Replacement[]): number {
    if (replacements.length === 0) return 0
    return this.#do(() => {
      const update = this.#database.prepare(replaceRow)
      const now = new Date().toISOString()
      const all = this.#database.transaction(() => {
        let changes = 0
        for (const { row, wrappedKey, stopWriting } of replacements) {
          const value = typeof row.wrapped_key === 'string' ? toText(wrappedKey) : wrappedKey
          changes += update.run(value, now, Number(stopWriting), row.key_id, row.wrapped_key).changes
        }
        return changes
      })
      return all.immediate()
    })
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #do<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      throw translate(error, this.#shown)
    }
  }
}

function checkTable(database: Database.Database, shown: string): void {
  const columns = database
    .prepare<[], { name: string }>("SELECT name FROM pragma_table_info('longhold_data_keys')")
    .all()
    .map(({ name }) => name)
  if (columns.length === 0) {
    throw new Problem('wrong', `${shown} has no table longhold_data_keys`, {
      hint: 'longhold reencrypt makes it; for files, give them without --sqlite',
    })
  }
  const missing = ['key_id', 'wrapped_key', 'key_context', 'name', 'state', 'updated_at'].filter(
    (one) => !columns.includes(one),
  )
  if (missing.length === 0) return
  throw new Problem('wrong', `${shown}: the table longhold_data_keys has no column ${missing.join(', ')}`, {
    hint: 'it is not the one that longhold makes',
  })
}
