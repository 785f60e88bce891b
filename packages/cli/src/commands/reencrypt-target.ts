/** Opens what a command works on, and puts what goes wrong there into the terms of the command line. */

import { refused, stopped, usage } from '../shell/errors.ts'
import { Problem } from '../sources/problem.ts'
import type { RowReader, RowSource, WantedColumns } from '../sources/row-source.ts'
import { openSqliteTable, readSqliteTable } from '../sources/sqlite-table.ts'
import type { TargetSettings } from './reencrypt-settings.ts'

/** To look at: takes no lock, changes nothing. */
export function openReader(target: TargetSettings, columns: WantedColumns): RowReader {
  return readSqliteTable(sqliteOptions(target, columns))
}

/** To work on: holds the target's lock until it is closed. */
export function openSource(target: TargetSettings, columns: WantedColumns): RowSource {
  return openSqliteTable(sqliteOptions(target, columns))
}

function sqliteOptions({ path, shown, table = '', busyTimeoutMs }: TargetSettings, columns: WantedColumns) {
  return { path, shown, table, columns, busyTimeoutMs }
}

/** Runs a step; what stops a source or a run becomes an error of the command line. */
export async function withProblems<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const make = { wrong: usage, refused, stopped }[error.kind]
    throw make(error.message, { hint: error.hint, cause: error })
  }
}
