/** The journal and the data keys in a PostgreSQL database: SPEC §12's tables and two of our own. */

import { postgresSchema } from '@longhold/core/stores/postgres'
import type { ClientBase, Pool } from 'pg'

import { decodeCells, encodeCells } from './cells.ts'
import { openPool, translated } from './postgres-connection.ts'
import type { PostgresPlace } from './postgres-connection.ts'
import { Problem } from './problem.ts'
import { putBackRows } from './row-source.ts'
import type { Cell, StoredDataKey } from './row-source.ts'
import { rowOf, runColumns, runStatuses, stateOf } from './run-row.ts'
import type { RunRow } from './run-row.ts'
import type { DeadLetter, RunState } from './run-state.ts'

const runSchema: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS longhold_run (
  run_id text PRIMARY KEY,
  table_name text NOT NULL,
  column_name text NOT NULL,
  dataset text NOT NULL,
  status text NOT NULL CHECK (status IN (${runStatuses.map((one) => `'${one}'`).join(', ')})),
  keeps_originals bigint NOT NULL,
  pass bigint NOT NULL,
  position text,
  found bigint NOT NULL,
  migrated bigint NOT NULL,
  earlier bigint NOT NULL,
  already bigint NOT NULL,
  dead bigint NOT NULL,
  conflict bigint NOT NULL,
  empty bigint NOT NULL,
  migrated_all_passes bigint NOT NULL,
  conflicts_all_passes bigint NOT NULL,
  unauthenticated_all_passes bigint NOT NULL,
  bytes_before bigint NOT NULL,
  bytes_after bigint NOT NULL,
  kinds text NOT NULL,
  data_keys text NOT NULL,
  started_at text NOT NULL,
  updated_at text NOT NULL,
  finished_at text
)`,
  `CREATE TABLE IF NOT EXISTS longhold_run_dead (
  run_id text NOT NULL REFERENCES longhold_run (run_id),
  locator text NOT NULL,
  format text,
  key_id text,
  code text NOT NULL,
  PRIMARY KEY (run_id, locator)
)`,
  `CREATE TABLE IF NOT EXISTS longhold_run_originals (
  run_id text NOT NULL REFERENCES longhold_run (run_id),
  place text NOT NULL,
  cells text NOT NULL,
  PRIMARY KEY (run_id, place)
)`,
]

/** The columns that are read or written. A table of the same name made by somebody else has others. */
const columnsOf: Readonly<Record<string, readonly string[]>> = {
  longhold_data_keys: [
    'key_id',
    'wrapped_key',
    'key_context',
    'name',
    'state',
    'messages',
    'bytes',
    'created_at',
    'updated_at',
  ],
  longhold_vouched_keys: ['key_id', 'tag'],
  longhold_run: runColumns,
  longhold_run_dead: ['run_id', 'locator', 'format', 'key_id', 'code'],
  longhold_run_originals: ['run_id', 'place', 'cells'],
}

export interface Original {
  /** Which row, as a position names it. */
  readonly place: string
  /** Of the columns that a layout occupies, as they were read. */
  readonly cells: readonly Cell[]
}

interface DataKeyRow {
  readonly wrapped_key: Uint8Array
  readonly key_context: string
  readonly name: string | null
  readonly state: StoredDataKey['state']
  readonly messages: string
  readonly bytes: string
  readonly created_at: Date
  readonly tag: Uint8Array | null
}

/**
 * Makes the tables where they are missing.
 *
 * @throws Problem `wrong` for something else of their names.
 */
export async function makeJournal(client: ClientBase): Promise<void> {
  for (const name of Object.keys(columnsOf)) await isOurTable(client, name)
  // Two that make the same table at once would meet an error.
  await client.query(`SELECT pg_advisory_xact_lock(${schemaLock})`)
  for (const statement of [...postgresSchema, ...runSchema]) await client.query(statement)
}

/** The library's own number for the same step. */
const schemaLock = 0x6c686b31

/** The newest first. */
export async function runsOn(client: ClientBase, table: string, column: string): Promise<RunState[]> {
  if (!(await isOurTable(client, 'longhold_run'))) return []
  const { rows } = await client.query<Record<string, string | null>>(
    'SELECT * FROM longhold_run WHERE table_name = $1 AND column_name = $2 ORDER BY started_at DESC, run_id DESC',
    [table, column],
  )
  return rows.map((row) => {
    // Numbers of type bigint come as text.
    const numbered = Object.entries(row).map(([name, value]) => [name, isCount(name) ? Number(value) : value])
    return stateOf(Object.fromEntries(numbered) as RunRow) // isCount knows which columns hold numbers
  })
}

const texts: ReadonlySet<string> = new Set<keyof RunRow>([
  'run_id',
  'table_name',
  'column_name',
  'dataset',
  'status',
  'position',
  'kinds',
  'data_keys',
  'started_at',
  'updated_at',
  'finished_at',
])

function isCount(name: string): boolean {
  return !texts.has(name)
}

const deadPageRows = 1000

export async function* deadLetters(pool: Pool, runId: string): AsyncIterable<DeadLetter> {
  const client = await pool.connect()
  try {
    if (!(await isOurTable(client, 'longhold_run_dead'))) return
    const sql = `SELECT locator, format, key_id, code FROM longhold_run_dead
      WHERE run_id = $1 AND ($2::text IS NULL OR locator > $2) ORDER BY locator LIMIT ${deadPageRows}`
    let after: string | null = null
    for (;;) {
      const {
        rows,
      }: { rows: { locator: string; format: string | null; key_id: string | null; code: string }[] } =
        await client.query(sql, [runId, after])
      for (const { locator, format, key_id, code } of rows) {
        yield { locator, format: format ?? undefined, keyId: key_id ?? undefined, code }
      }
      if (rows.length < deadPageRows) return
      after = rows.at(-1)?.locator ?? null
    }
  } finally {
    client.release()
  }
}

export async function dataKey(client: ClientBase, keyId: string): Promise<StoredDataKey | undefined> {
  if (!(await isOurTable(client, 'longhold_data_keys'))) return undefined
  const hasTags = await isOurTable(client, 'longhold_vouched_keys')
  const { rows } = await client.query<DataKeyRow>(
    hasTags
      ? 'SELECT k.*, v.tag FROM longhold_data_keys k LEFT JOIN longhold_vouched_keys v USING (key_id) WHERE key_id = $1'
      : 'SELECT *, NULL::bytea AS tag FROM longhold_data_keys WHERE key_id = $1',
    [Buffer.from(keyId, 'hex')],
  )
  const [row] = rows
  if (row === undefined) return undefined
  return {
    keyId,
    wrappedKey: Uint8Array.from(row.wrapped_key),
    // Written by addDataKey or by the library: an object of strings.
    keyContext: JSON.parse(row.key_context) as Record<string, string>,
    name: row.name ?? '',
    state: row.state,
    messages: Number(row.messages),
    bytes: Number(row.bytes),
    vouched:
      row.tag === null
        ? undefined
        : { tag: Uint8Array.from(row.tag), createdAt: row.created_at.toISOString() },
  }
}

/** All wrapped keys of a database, a page at a time. @throws Problem `wrong` where there is no table of them. */
export async function* wrappedKeysInPostgres(place: PostgresPlace): AsyncIterable<Uint8Array> {
  const pool = openPool(place)
  try {
    if (!(await translated(() => isOurTable(pool, 'longhold_data_keys')))) {
      throw new Problem('wrong', 'the database has no table longhold_data_keys', {
        hint: 'in another schema? options=-csearch_path=… in the address says which',
      })
    }
    const sql = `SELECT key_id, wrapped_key FROM longhold_data_keys
      WHERE $1::bytea IS NULL OR key_id > $1 ORDER BY key_id LIMIT ${keyPageRows}`
    let after: Uint8Array | undefined
    for (;;) {
      const { rows } = await translated(() =>
        pool.query<{ key_id: Uint8Array; wrapped_key: Uint8Array }>(sql, [after ?? null]),
      )
      for (const { wrapped_key: wrappedKey } of rows) yield Uint8Array.from(wrappedKey)
      after = rows.at(-1)?.key_id
      if (rows.length < keyPageRows) return
    }
  } finally {
    await pool.end()
  }
}

const keyPageRows = 1000

export async function saveRun(client: ClientBase, state: RunState): Promise<void> {
  const row = rowOf(state)
  await client.query(
    `INSERT INTO longhold_run (${runColumns.join(', ')})
     VALUES (${runColumns.map((_, index) => `$${index + 1}`).join(', ')})
     ON CONFLICT (run_id) DO UPDATE SET ${runColumns.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    runColumns.map((name) => row[name]),
  )
}

/** Until the transaction ends nobody else changes it. */
export async function lockRun(client: ClientBase, runId: string): Promise<void> {
  await client.query('SELECT 1 FROM longhold_run WHERE run_id = $1 FOR UPDATE', [runId])
}

/** Of a run that several processes work on. */
export async function addKeyOfRun(client: ClientBase, runId: string, keyId: string): Promise<void> {
  await client.query(
    'UPDATE longhold_run SET data_keys = (data_keys::jsonb || to_jsonb($2::text))::text WHERE run_id = $1',
    [runId, keyId],
  )
}

export async function keepsOriginals(
  client: ClientBase,
  runId: string,
): Promise<Pick<RunState, 'runId' | 'keepsOriginals'>> {
  const { rows } = await client.query<{ keeps_originals: string }>(
    'SELECT keeps_originals FROM longhold_run WHERE run_id = $1',
    [runId],
  )
  return { runId, keepsOriginals: rows[0]?.keeps_originals !== '0' }
}

export async function addDead(
  client: ClientBase,
  runId: string,
  letters: readonly DeadLetter[],
): Promise<void> {
  if (letters.length === 0) return
  // The last of those with one locator, as no statement may meet a row twice.
  const distinct = [...new Map(letters.map((letter) => [letter.locator, letter])).values()]
  await client.query(
    `INSERT INTO longhold_run_dead
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
     ON CONFLICT (run_id, locator) DO UPDATE
       SET format = excluded.format, key_id = excluded.key_id, code = excluded.code`,
    [
      runId,
      distinct.map(({ locator }) => locator),
      distinct.map(({ format }) => format ?? null),
      distinct.map(({ keyId }) => keyId ?? null),
      distinct.map(({ code }) => code),
    ],
  )
}

/** A pass judges every row anew. */
export async function clearDead(client: ClientBase, runId: string): Promise<void> {
  await client.query('DELETE FROM longhold_run_dead WHERE run_id = $1', [runId])
}

/** What rows held; of one that is replaced again, what it held last. */
export async function keepOriginals(
  client: ClientBase,
  runId: string,
  originals: readonly Original[],
): Promise<void> {
  if (originals.length === 0) return
  await client.query(
    `INSERT INTO longhold_run_originals SELECT $1, * FROM unnest($2::text[], $3::text[])
     ON CONFLICT (run_id, place) DO UPDATE SET cells = excluded.cells`,
    [runId, originals.map(({ place }) => place), originals.map(({ cells }) => encodeCells(cells))],
  )
}

export async function originalsAfter(
  client: ClientBase,
  runId: string,
  after: string | undefined,
): Promise<Original[]> {
  const { rows } = await client.query<{ place: string; cells: string }>(
    `SELECT place, cells FROM longhold_run_originals WHERE run_id = $1 AND ($2::text IS NULL OR place > $2)
      ORDER BY place LIMIT ${putBackRows}`,
    [runId, after ?? null],
  )
  return rows.map(({ place, cells }) => ({ place, cells: decodeCells(cells) }))
}

/** @param places Undefined: all of the run. */
export async function forgetOriginals(
  client: ClientBase,
  runId: string,
  places?: readonly string[],
): Promise<void> {
  await client.query(
    'DELETE FROM longhold_run_originals WHERE run_id = $1 AND ($2::text[] IS NULL OR place = ANY ($2))',
    [runId, places ?? null],
  )
}

export async function addDataKey(client: ClientBase, key: StoredDataKey, now: string): Promise<void> {
  const { keyId, wrappedKey, keyContext, name, state, messages, bytes, vouched } = key
  const id = Buffer.from(keyId, 'hex')
  await client.query('INSERT INTO longhold_data_keys VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)', [
    id,
    wrappedKey,
    JSON.stringify(keyContext),
    name,
    state,
    messages,
    bytes,
    vouched?.createdAt ?? now,
    now,
  ])
  if (vouched !== undefined) {
    await client.query('INSERT INTO longhold_vouched_keys VALUES ($1, $2)', [id, vouched.tag])
  }
}

export async function countMessages(
  client: ClientBase,
  keyId: string,
  messages: number,
  bytes: number,
): Promise<void> {
  await client.query(
    `UPDATE longhold_data_keys SET messages = messages + $2, bytes = bytes + $3, updated_at = now() WHERE key_id = $1`,
    [Buffer.from(keyId, 'hex'), messages, bytes],
  )
}

/** New records no longer use them. None is ever removed: a record somewhere may need it. */
export async function retireDataKeys(client: ClientBase, keyIds: readonly string[]): Promise<void> {
  if (keyIds.length === 0) return
  await client.query(
    `UPDATE longhold_data_keys SET state = 'reading', updated_at = now()
      WHERE key_id = ANY ($1::bytea[]) AND state = 'writing'`,
    [keyIds.map((keyId) => Buffer.from(keyId, 'hex'))],
  )
}

/** @throws Problem `wrong` for something else of that name. */
async function isOurTable(client: Pick<ClientBase, 'query'>, name: string): Promise<boolean> {
  const { rows } = await client.query<{ relkind: string; columns: string[] }>(
    `SELECT c.relkind, array_agg(a.attname::text) AS columns
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.oid = to_regclass($1) GROUP BY c.oid`,
    [name],
  )
  const [found] = rows
  if (found === undefined) return false
  const missing = columnsOf[name]?.filter((column) => !found.columns.includes(column)) ?? []
  if ((found.relkind === 'r' || found.relkind === 'p') && missing.length === 0) return true
  throw new Problem(
    'wrong',
    missing.length > 0
      ? `the table ${name} has no column ${missing.join(', ')}: it is not the one that longhold makes`
      : `${name} is something else than a table, where longhold would make one`,
    { hint: 'longhold keeps its state in tables of these names: rename yours first' },
  )
}
