/** Opens what a command works on. */

import { csv } from '../sources/csv.ts'
import { ndjson } from '../sources/ndjson.ts'
import type { RowReader, RowSource, WantedColumns } from '../sources/row-source.ts'
import { openSqliteTable, readSqliteTable } from '../sources/sqlite-table.ts'
import { openTextFile, readTextFile } from '../sources/text-file.ts'
import type { TargetSettings } from './reencrypt-settings.ts'

/** To look at: takes no lock, changes nothing. `which`: of a file that was re-encrypted already. */
export async function openReader(
  target: TargetSettings,
  columns: WantedColumns,
  which: 'old' | 'newest' = 'newest',
): Promise<RowReader> {
  if (target.kind === 'sqlite') return readSqliteTable(sqliteOptions(target, columns))
  if (target.kind === 'postgres') {
    const { readPostgresTable } = await postgresTables()
    return await readPostgresTable(postgresOptions(target, columns))
  }
  return readTextFile(fileOptions(target, columns), which)
}

/** To work on: holds the target's lock until it is closed. */
export async function openSource(target: TargetSettings, columns: WantedColumns): Promise<RowSource> {
  if (target.kind === 'sqlite') return openSqliteTable(sqliteOptions(target, columns))
  if (target.kind === 'postgres') {
    const { openPostgresTable } = await postgresTables()
    return await openPostgresTable(postgresOptions(target, columns))
  }
  return openTextFile(fileOptions(target, columns))
}

/** Loaded when it is needed: most targets are files. */
async function postgresTables() {
  return await import('../sources/postgres-table.ts')
}

function sqliteOptions({ path, shown, table = '', busyTimeoutMs }: TargetSettings, columns: WantedColumns) {
  return { path, shown, table, columns, busyTimeoutMs }
}

function postgresOptions({ path, table = '', busyTimeoutMs }: TargetSettings, columns: WantedColumns) {
  return { url: path, table, columns, busyTimeoutMs }
}

function fileOptions(
  { path, shown, kind, idMember = '', delimiter }: TargetSettings,
  columns: WantedColumns,
) {
  const layout = kind === 'csv' ? csv({ idColumn: idMember, delimiter }) : ndjson(idMember)
  return { path, shown, layout, columns }
}
