/** Opens what a command works on. */

import { openNdjsonFile, readNdjsonFile } from '../sources/ndjson-file.ts'
import type { RowReader, RowSource, WantedColumns } from '../sources/row-source.ts'
import { openSqliteTable, readSqliteTable } from '../sources/sqlite-table.ts'
import type { TargetSettings } from './reencrypt-settings.ts'

/** To look at: takes no lock, changes nothing. `which`: of a file that was re-encrypted already. */
export async function openReader(
  target: TargetSettings,
  columns: WantedColumns,
  which: 'old' | 'newest' = 'newest',
): Promise<RowReader> {
  return target.kind === 'sqlite'
    ? readSqliteTable(sqliteOptions(target, columns))
    : readNdjsonFile(ndjsonOptions(target, columns), which)
}

/** To work on: holds the target's lock until it is closed. */
export async function openSource(target: TargetSettings, columns: WantedColumns): Promise<RowSource> {
  return target.kind === 'sqlite'
    ? openSqliteTable(sqliteOptions(target, columns))
    : openNdjsonFile(ndjsonOptions(target, columns))
}

function sqliteOptions({ path, shown, table = '', busyTimeoutMs }: TargetSettings, columns: WantedColumns) {
  return { path, shown, table, columns, busyTimeoutMs }
}

function ndjsonOptions({ path, shown, idMember = '' }: TargetSettings, columns: WantedColumns) {
  return { path, shown, idMember, columns }
}
