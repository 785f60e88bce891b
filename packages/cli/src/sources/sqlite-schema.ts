/** What a table is made of, and whether its rows can be found again and replaced. */

import type Database from 'better-sqlite3'

import { Problem } from './problem.ts'
import type { RecordForm, WantedColumns } from './row-source.ts'

export interface TableShape {
  /** As the schema spells it: SQLite takes names in any case, the record context does not. */
  readonly table: string
  /** The columns asked for, spelt as in the schema. */
  readonly columns: readonly ColumnShape[]
  /** Columns of the primary key, in its order. */
  readonly key: readonly string[]
  /** A name of the rowid that no column hides; undefined where there is no rowid or no such name. */
  readonly rowid: string | undefined
  readonly notices: readonly string[]
}

export interface ColumnShape {
  readonly name: string
  /** Undefined where the column takes anything: the replacement then follows what it replaces. */
  readonly form: RecordForm | undefined
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly notnull: bigint
  /** Place in the primary key from 1, 0 outside it. */
  readonly pk: bigint
  /** 0 for an ordinary column, 2 and 3 for generated ones. */
  readonly hidden: bigint
}

/**
 * @param database Set to give integers as bigint.
 * @throws Problem `wrong` for a table or column that is not there, a table without a primary key, and columns
 * that could not take what a replacement puts there.
 */
export function readTableShape(
  database: Database.Database,
  shown: string,
  wantedTable: string,
  wanted: WantedColumns,
): TableShape {
  const tables = database
    .prepare<[], { name: string; type: string; wr: bigint; strict: bigint }>(
      "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )
    .all()
  const found = tables.find(({ name }) => sameName(name, wantedTable))
  if (found === undefined)
    throw unknown(
      `${shown} has no table ${wantedTable}`,
      tables.map(({ name }) => name),
    )
  const table = found.name
  if (found.type !== 'table') {
    throw new Problem(
      'wrong',
      `${shown}: ${table} is a ${found.type === 'view' ? 'view' : `${found.type} table`}, not one with rows of its own`,
      {
        hint: 'give the table that holds the rows',
      },
    )
  }
  const columns = database
    .prepare<[string], ColumnRow>('SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?)')
    .all(table)
  const shapeOf = (name: string): ColumnRow => {
    const column = columns.find((candidate) => sameName(candidate.name, name))
    if (column === undefined)
      throw unknown(
        `table ${table} has no column ${name}`,
        columns.map((one) => one.name),
      )
    return column
  }
  const key = columns.filter(({ pk }) => pk > 0n).toSorted((a, b) => Number(a.pk - b.pk))
  if (key.length === 0) {
    throw new Problem('wrong', `table ${table} has no primary key: a record could not be bound to its row`, {
      hint: 'a rowid may change with VACUUM; give the table a primary key first',
    })
  }
  const own = wanted.own.map(shapeOf)
  own.forEach((column, index) => checkOwn(table, column, index > 0))
  const shapes = [...own, ...wanted.read.map(shapeOf)]
  return {
    table,
    columns: shapes.map(({ name, type }) => ({ name, form: formOf(type, found.strict === 1n) })),
    key: key.map(({ name }) => name),
    rowid: found.wr === 1n ? undefined : rowidName(columns.map(({ name }) => name)),
    notices: triggerNotices(database, table),
  }
}

function checkOwn(table: string, column: ColumnRow, becomesNull: boolean): void {
  if (column.hidden !== 0n) {
    throw new Problem('wrong', `column ${column.name} of ${table} is generated: it cannot be replaced`, {
      hint: 'give the column it is computed from',
    })
  }
  if (column.pk > 0n) {
    throw new Problem(
      'wrong',
      `column ${column.name} of ${table} is part of the primary key: records are bound to the key`,
    )
  }
  if (becomesNull && column.notnull !== 0n) {
    throw new Problem(
      'wrong',
      `column ${column.name} of ${table} is NOT NULL, but becomes NULL: the record replaces it`,
      {
        hint:
          `SQLite cannot drop NOT NULL in place: make a new table without it, copy the rows, rename it ` +
          `(sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes")`,
      },
    )
  }
}

/** Column affinity (sqlite.org/datatype3.html §3.1) decides; without one the old value does. */
function formOf(type: string, isStrict: boolean): RecordForm | undefined {
  const upper = type.toUpperCase()
  if (isStrict) return upper === 'BLOB' ? 'bytes' : upper === 'ANY' ? undefined : 'text'
  if (upper.includes('INT')) return 'text'
  if (/CHAR|CLOB|TEXT/.test(upper)) return 'text'
  if (upper.includes('BLOB')) return 'bytes'
  return upper === '' ? undefined : 'text'
}

function rowidName(columns: readonly string[]): string | undefined {
  return ['rowid', '_rowid_', 'oid'].find((name) => !columns.some((column) => sameName(column, name)))
}

function triggerNotices(database: Database.Database, table: string): string[] {
  const triggers = database
    .prepare<[string], { name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?",
    )
    .all(table)
  return triggers
    .filter(({ sql }) => /\bUPDATE\b/i.test(sql.slice(0, sql.search(/\bBEGIN\b/i))))
    .map(({ name }) => `trigger ${name} fires for every row that is replaced`)
}

/** SQLite folds ASCII letters only. */
function sameName(a: string, b: string): boolean {
  const fold = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
  return fold(a) === fold(b)
}

function unknown(message: string, known: readonly string[]): Error {
  return new Problem('wrong', message, { hint: `there are: ${known.join(', ')}` })
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
