/** The journal and the data keys in a database: SPEC §12's table and two of our own. Every method is one step. */

import type Database from 'better-sqlite3'

import { decodeCells, encodeCells } from './cells.ts'
import { Problem } from './problem.ts'
import type { Cell, StoredDataKey } from './row-source.ts'
import { rowOf, runColumns, runStatuses, stateOf } from './run-row.ts'
import type { RunRow } from './run-row.ts'
import type { DeadLetter, RunState } from './run-state.ts'

const dataKeysSchema = `
CREATE TABLE IF NOT EXISTS longhold_data_keys (
  key_id BLOB PRIMARY KEY CHECK (length(key_id) = 16),
  wrapped_key BLOB NOT NULL,
  key_context TEXT NOT NULL,
  name TEXT,
  state TEXT NOT NULL CHECK (state IN ('writing', 'reading', 'retired')),
  messages INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
)`

/** Made with the first tag: programs that do not vouch leave it alone. */
const vouchedKeysSchema = `
CREATE TABLE IF NOT EXISTS longhold_vouched_keys (
  key_id BLOB PRIMARY KEY CHECK (length(key_id) = 16),
  tag BLOB NOT NULL CHECK (length(tag) = 32)
)`

const runSchema = `
CREATE TABLE IF NOT EXISTS longhold_run (
  run_id TEXT PRIMARY KEY,
  table_name TEXT NOT NULL,
  column_name TEXT NOT NULL,
  dataset TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN (${runStatuses.map((one) => `'${one}'`).join(', ')})),
  keeps_originals INTEGER NOT NULL,
  pass INTEGER NOT NULL,
  position TEXT,
  found INTEGER NOT NULL,
  migrated INTEGER NOT NULL,
  earlier INTEGER NOT NULL,
  already INTEGER NOT NULL,
  dead INTEGER NOT NULL,
  conflict INTEGER NOT NULL,
  empty INTEGER NOT NULL,
  migrated_all_passes INTEGER NOT NULL,
  conflicts_all_passes INTEGER NOT NULL,
  unauthenticated_all_passes INTEGER NOT NULL,
  bytes_before INTEGER NOT NULL,
  bytes_after INTEGER NOT NULL,
  kinds TEXT NOT NULL,
  data_keys TEXT NOT NULL,
  started_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  finished_at TEXT
);
CREATE TABLE IF NOT EXISTS longhold_run_dead (
  run_id TEXT NOT NULL REFERENCES longhold_run (run_id),
  locator TEXT NOT NULL,
  format TEXT,
  key_id TEXT,
  code TEXT NOT NULL,
  PRIMARY KEY (run_id, locator)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS longhold_run_originals (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES longhold_run (run_id),
  place TEXT NOT NULL,
  cells TEXT NOT NULL,
  UNIQUE (run_id, place)
)`

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

interface DataKeyRow {
  readonly wrapped_key: Uint8Array
  readonly key_context: string
  readonly name: string
  readonly state: StoredDataKey['state']
  readonly messages: number
  readonly bytes: number
  readonly created_at: string
}

/** What is only read; the tables may be missing. */
export class JournalReader {
  protected readonly database: Database.Database

  constructor(database: Database.Database) {
    this.database = database
  }

  latestRun(table: string, column: string): RunState | undefined {
    return this.runs(table, column)[0]
  }

  /** The newest first. */
  runs(table: string, column: string): RunState[] {
    if (!this.#hasTable('longhold_run')) return []
    const rows = this.database
      .prepare<[string, string], RunRow>(
        'SELECT * FROM longhold_run WHERE table_name = ? AND column_name = ? ORDER BY started_at DESC, rowid DESC',
      )
      .safeIntegers(false)
      .all(table, column)
    return rows.map(stateOf)
  }

  *deadLetters(runId: string): Iterable<DeadLetter> {
    if (!this.#hasTable('longhold_run_dead')) return
    const rows = this.database
      .prepare<[string], { locator: string; format: string | null; key_id: string | null; code: string }>(
        'SELECT locator, format, key_id, code FROM longhold_run_dead WHERE run_id = ? ORDER BY locator',
      )
      .iterate(runId)
    for (const { locator, format, key_id, code } of rows) {
      yield { locator, format: format ?? undefined, keyId: key_id ?? undefined, code }
    }
  }

  dataKey(keyId: string): StoredDataKey | undefined {
    if (!this.#hasTable('longhold_data_keys')) return undefined
    const row = this.database
      .prepare<[Uint8Array], DataKeyRow>('SELECT * FROM longhold_data_keys WHERE key_id = ?')
      .safeIntegers(false)
      .get(Buffer.from(keyId, 'hex'))
    if (row === undefined) return undefined
    const { wrapped_key: wrappedKey, key_context, name, state, messages, bytes, created_at: createdAt } = row
    // Written by addDataKey or by the library: an object of strings.
    const keyContext = JSON.parse(key_context) as Record<string, string>
    const tag = this.#tagOf(keyId)
    const vouched = tag === undefined ? undefined : { tag, createdAt }
    return { keyId, wrappedKey, keyContext, name, state, messages, bytes, vouched }
  }

  #tagOf(keyId: string): Uint8Array | undefined {
    if (!this.#hasTable('longhold_vouched_keys')) return undefined
    return this.database
      .prepare<[Uint8Array], Uint8Array>('SELECT tag FROM longhold_vouched_keys WHERE key_id = ?')
      .pluck()
      .get(Buffer.from(keyId, 'hex'))
  }

  #hasTable(name: string): boolean {
    return isOurTable(this.database, name)
  }
}

/** @throws Problem `wrong` for something else of that name. */
function isOurTable(database: Database.Database, name: string): boolean {
  const type = database
    .prepare<[string], string>(
      "SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE",
    )
    .pluck()
    .get(name)
  if (type === undefined) return false
  const there = new Set(
    database.prepare<[string], string>('SELECT name FROM pragma_table_info(?)').pluck().all(name),
  )
  const missing = columnsOf[name]?.filter((column) => !there.has(column)) ?? []
  if (type === 'table' && missing.length === 0) return true
  throw new Problem(
    'wrong',
    type === 'table'
      ? `the table ${name} has no column ${missing.join(', ')}: it is not the one that longhold makes`
      : `${name} is a ${type}, where longhold would make a table`,
    { hint: 'longhold keeps its state in tables of these names: rename yours first' },
  )
}

/** What changes the journal. Callers choose the transaction. */
export class Journal extends JournalReader {
  readonly #saveRun: Database.Statement<[RunRow]>
  readonly #insertDead: Database.Statement<[string, string, string | null, string | null, string]>
  readonly #keepOriginal: Database.Statement<[string, string, string]>
  readonly #countMessages: Database.Statement<[number, number, string, Uint8Array]>

  /**
   * Makes the tables where they are missing.
   *
   * @throws Problem `wrong` for something else of their names.
   */
  constructor(database: Database.Database) {
    for (const name of Object.keys(columnsOf)) isOurTable(database, name)
    database.exec(dataKeysSchema)
    database.exec(runSchema)
    super(database)
    this.#saveRun = database.prepare(
      `INSERT INTO longhold_run (${runColumns.join(', ')}) VALUES (${runColumns.map((name) => `@${name}`).join(', ')})
       ON CONFLICT (run_id) DO UPDATE SET ${runColumns.map((name) => `${name} = excluded.${name}`).join(', ')}`,
    )
    this.#insertDead = database.prepare('INSERT OR REPLACE INTO longhold_run_dead VALUES (?, ?, ?, ?, ?)')
    this.#keepOriginal = database.prepare(
      'INSERT OR REPLACE INTO longhold_run_originals (run_id, place, cells) VALUES (?, ?, ?)',
    )
    this.#countMessages = database.prepare(
      'UPDATE longhold_data_keys SET messages = messages + ?, bytes = bytes + ?, updated_at = ? WHERE key_id = ?',
    )
  }

  save(state: RunState): void {
    this.#saveRun.run(rowOf(state))
  }

  addDead(runId: string, { locator, format, keyId, code }: DeadLetter): void {
    this.#insertDead.run(runId, locator, format ?? null, keyId ?? null, code)
  }

  /** A pass judges every row anew. */
  clearDead(runId: string): void {
    this.database.prepare('DELETE FROM longhold_run_dead WHERE run_id = ?').run(runId)
  }

  addDataKey(
    { keyId, wrappedKey, keyContext, name, state, messages, bytes, vouched }: StoredDataKey,
    now: string,
  ): void {
    this.database
      .prepare('INSERT INTO longhold_data_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        Buffer.from(keyId, 'hex'),
        wrappedKey,
        JSON.stringify(keyContext),
        name,
        state,
        messages,
        bytes,
        vouched?.createdAt ?? now,
        now,
      )
    if (vouched === undefined) return
    this.database.exec(vouchedKeysSchema)
    this.database
      .prepare('INSERT INTO longhold_vouched_keys VALUES (?, ?)')
      .run(Buffer.from(keyId, 'hex'), vouched.tag)
  }

  /** What a row held; of one that is replaced again, what it held last. */
  keepOriginal(runId: string, place: string, cells: readonly Cell[]): void {
    this.#keepOriginal.run(runId, place, encodeCells(cells))
  }

  originals(
    runId: string,
    after: string,
    maxRows: number,
  ): { readonly place: string; readonly cells: Cell[] }[] {
    const rows = this.database
      .prepare<[string, string, number], { place: string; cells: string }>(
        'SELECT place, cells FROM longhold_run_originals WHERE run_id = ? AND place > ? ORDER BY place LIMIT ?',
      )
      .all(runId, after, maxRows)
    return rows.map(({ place, cells }) => ({ place, cells: decodeCells(cells) }))
  }

  forgetOriginal(runId: string, place: string): void {
    this.database
      .prepare('DELETE FROM longhold_run_originals WHERE run_id = ? AND place = ?')
      .run(runId, place)
  }

  forgetOriginals(runId: string): void {
    this.database.prepare('DELETE FROM longhold_run_originals WHERE run_id = ?').run(runId)
  }

  countMessages(keyId: string, messages: number, bytes: number, now: string): void {
    this.#countMessages.run(messages, bytes, now, Buffer.from(keyId, 'hex'))
  }

  /** New records no longer use them. None is ever removed: a record somewhere may need it. */
  retireDataKeys(keyIds: readonly string[], now: string): void {
    const close = this.database.prepare(
      "UPDATE longhold_data_keys SET state = 'reading', updated_at = ? WHERE key_id = ? AND state = 'writing'",
    )
    for (const keyId of keyIds) close.run(now, Buffer.from(keyId, 'hex'))
  }
}
