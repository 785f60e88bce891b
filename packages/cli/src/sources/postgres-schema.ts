/** What a table of PostgreSQL is made of, and whether its rows can be found again and replaced. */

import type { ClientBase } from 'pg'

import { Problem } from './problem.ts'
import type { RecordForm, WantedColumns } from './row-source.ts'

export interface PostgresShape {
  /** As the schema spells it, without the schema. */
  readonly table: string
  /** For statements: schema and table, quoted. */
  readonly from: string
  /** For locks. */
  readonly oid: number
  /** The columns asked for. */
  readonly columns: readonly PostgresColumn[]
  /** Columns of the primary key, in its order. */
  readonly key: readonly PostgresColumn[]
  readonly notices: readonly string[]
}

export interface PostgresColumn {
  readonly name: string
  /** As a cast takes it, say `character varying(40)`. */
  readonly type: string
  readonly kind: ColumnKind
}

/** `other` has no place in a key and holds no value: dates, floating-point numbers, arrays. */
export type ColumnKind = 'text' | 'bytes' | 'json' | 'integer' | 'uuid' | 'other'

/** How a replacement is written. */
export function formOf({ kind }: PostgresColumn): RecordForm {
  return kind === 'bytes' ? 'bytes' : 'text'
}

const kinds: Readonly<Record<string, ColumnKind>> = {
  text: 'text',
  varchar: 'text',
  bpchar: 'text',
  citext: 'text',
  bytea: 'bytes',
  json: 'json',
  jsonb: 'json',
  int2: 'integer',
  int4: 'integer',
  int8: 'integer',
  numeric: 'integer',
  uuid: 'uuid',
}

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly base: string
  readonly category: string
  readonly notnull: boolean
  readonly generated: boolean
  readonly identity: boolean
  /** Place in the primary key from 1; null outside it. */
  readonly pk: number | null
  readonly max: number | null
}

/**
 * @param wantedTable `table` or `schema.table`, spelt as in the database.
 * @throws Problem `wrong` for a table or column that is not there, a table without a primary key, one whose rows are
 * partly hidden, and columns that could not take what a replacement puts there.
 */
export async function readPostgresShape(
  client: ClientBase,
  wantedTable: string,
  wanted: WantedColumns,
): Promise<PostgresShape> {
  const found = await findTable(client, wantedTable)
  const { oid, table, from } = found
  const { rows: columns } = await client.query<ColumnRow>(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
            coalesce(base.typname, t.typname) AS base, t.typcategory AS category, a.attnotnull AS notnull,
            a.attgenerated <> '' AS generated, a.attidentity = 'a' AS identity,
            array_position(i.indkey::int2[], a.attnum) + 1 AS pk,
            CASE WHEN coalesce(base.typname, t.typname) IN ('varchar', 'bpchar') AND a.atttypmod > 4
                 THEN a.atttypmod - 4 END AS max
       FROM pg_attribute a
       JOIN pg_type t ON t.oid = a.atttypid
       LEFT JOIN pg_type base ON base.oid = t.typbasetype AND t.typtype = 'd'
       LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
      WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
      ORDER BY a.attnum`,
    [oid],
  )
  const rowOf = (name: string): ColumnRow => {
    const column = columns.find((one) => one.name === name)
    if (column !== undefined) return column
    throw unknown(
      `table ${table} has no column ${name}`,
      columns.map((one) => one.name),
    )
  }
  const key = columns.filter(({ pk }) => pk !== null).toSorted((a, b) => Number(a.pk) - Number(b.pk))
  if (key.length === 0) {
    throw new Problem('wrong', `table ${table} has no primary key: a record could not be bound to its row`, {
      hint: 'give the table a primary key first',
    })
  }
  for (const column of key) {
    const kind = columnOf(column).kind
    if (kind !== 'other' && kind !== 'json') continue
    throw new Problem('wrong', `column ${column.name} of the primary key is ${column.type}`, {
      hint: 'records are bound to whole numbers, texts, UUIDs and bytes',
    })
  }
  const own = wanted.own.map(rowOf)
  own.forEach((column, index) => checkOwn(table, column, index > 0))
  return {
    oid,
    table,
    from,
    columns: [...own, ...wanted.read.map(rowOf)].map(columnOf),
    key: key.map(columnOf),
    notices: [...(await triggerNotices(client, oid)), ...own.slice(0, 1).flatMap(lengthNotices)],
  }
}

async function findTable(
  client: ClientBase,
  wanted: string,
): Promise<{ readonly oid: number; readonly table: string; readonly from: string }> {
  const [name = '', schema] = wanted.split('.').toReversed()
  const { rows } = await client.query<{
    oid: number
    schema: string
    table: string
    relkind: string
    hidden: boolean
  }>(
    `SELECT c.oid::int8::int AS oid, n.nspname AS schema, c.relname AS table, c.relkind,
            row_security_active(c.oid) AS hidden
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END`,
    [name, schema ?? null],
  )
  const [found] = rows
  if (found === undefined) {
    const { rows: there } = await client.query<{ name: string }>(
      `SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END AS name
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        ORDER BY 1 LIMIT 50`,
    )
    throw unknown(
      `the database has no table ${wanted}`,
      there.map((one) => one.name),
    )
  }
  if (found.relkind !== 'r' && found.relkind !== 'p') {
    throw new Problem('wrong', `${wanted} is a view or a foreign table, not one with rows of its own`, {
      hint: 'give the table that holds the rows',
    })
  }
  if (found.hidden) {
    throw new Problem(
      'wrong',
      `row security hides rows of ${wanted} from this user: they would be left as they are`,
      {
        hint: 'connect as the owner of the table, or as a user with BYPASSRLS',
      },
    )
  }
  return { oid: found.oid, table: found.table, from: `${quoted(found.schema)}.${quoted(found.table)}` }
}

function columnOf({ name, type, base }: ColumnRow): PostgresColumn {
  return { name, type, kind: kinds[base] ?? 'other' }
}

function checkOwn(table: string, column: ColumnRow, becomesNull: boolean): void {
  const { name, type } = column
  const refuse = (message: string, hint: string): never => {
    throw new Problem('wrong', `column ${name} of ${table} ${message}`, { hint })
  }
  if (column.generated || column.identity) {
    refuse('is generated: it cannot be replaced', 'give the column it is computed from')
  }
  if (column.pk !== null)
    refuse('is part of the primary key', 'records are bound to the key: give another column')
  const { kind } = columnOf(column)
  if (!becomesNull && kind !== 'text' && kind !== 'bytes' && kind !== 'json') {
    refuse(`is ${type}, which holds no encrypted value`, 'text, varchar, bytea, json and jsonb do')
  }
  if (becomesNull && column.notnull) {
    refuse(
      'is NOT NULL, but becomes NULL: the record replaces it',
      `ALTER TABLE ${table} ALTER COLUMN ${name} DROP NOT NULL`,
    )
  }
}

function lengthNotices({ name, type, max }: ColumnRow): string[] {
  if (max === null) return []
  return [`column ${name} is ${type}: a record that is longer becomes a dead letter; type text has no limit`]
}

async function triggerNotices(client: ClientBase, oid: number): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tgname AS name FROM pg_trigger
      WHERE tgrelid = $1 AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0 ORDER BY 1`,
    [oid],
  )
  return rows.map(({ name }) => `trigger ${name} fires for every row that is replaced`)
}

function unknown(message: string, known: readonly string[]): Error {
  return new Problem('wrong', message, { hint: `there are: ${known.join(', ')}` })
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
