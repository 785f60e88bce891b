/** What a test of the run needs: a table with old values, a run in this process, and a reader of what came out. */

import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { fromText, generateIdentity, toHex, unwrapDataKey } from '@longhold/core'
import type { DataKey, LocalIdentity } from '@longhold/core'
import Database from 'better-sqlite3'

import { makeFormats } from '../../src/commands/reencrypt-formats.ts'
import type { FormatChoice } from '../../src/commands/reencrypt-formats.ts'
import { defaultLife } from '../../src/reencrypt/data-keys.ts'
import { reencrypt } from '../../src/reencrypt/run.ts'
import type { RunSettings } from '../../src/reencrypt/run.ts'
import { createTransform } from '../../src/reencrypt/transform.ts'
import type { TransformSettings, Transformer } from '../../src/reencrypt/transform.ts'
import type { RowSource } from '../../src/sources/row-source.ts'
import { newRunState } from '../../src/sources/run-state.ts'
import type { RunState } from '../../src/sources/run-state.ts'
import { openSqliteTable } from '../../src/sources/sqlite-table.ts'
import type { SqliteTableOptions } from '../../src/sources/sqlite-table.ts'
import { javaRow, keySet, makeJwe, oldKey } from './legacy-values.ts'

export class Directory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'longhold-reencrypt-'))

  file(name: string): string {
    return join(this.path, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export const identity: LocalIdentity = generateIdentity()

export const plaintextOf = (id: number): string => `the secret of ${id}`
export const ownerOf = (id: number): string => `owner ${id}`

const jwes = new Map<number, Promise<string>>()

/** Made once for each id: making them is slower than opening them. */
export async function jweOf(id: number): Promise<string> {
  const made = jwes.get(id) ?? makeJwe(plaintextOf(id))
  jwes.set(id, made)
  return await made
}

/** A table `notes`: odd ids hold a JWE, even ones the layout of several columns. */
export async function makeNotes(path: string, rows: number): Promise<void> {
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.exec(
    'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, wrapped_key TEXT, iv TEXT, owner TEXT NOT NULL)',
  )
  const insert = database.prepare('INSERT INTO notes VALUES (?, ?, ?, ?, ?)')
  const values: unknown[][] = []
  for (let id = 1; id <= rows; id++) {
    if (id % 2 === 1) {
      values.push([id, await jweOf(id), null, null, ownerOf(id)])
    } else {
      const { body, wrapped_key, iv } = javaRow(plaintextOf(id), ownerOf(id))
      values.push([id, body, wrapped_key, iv, ownerOf(id)])
    }
  }
  database.transaction(() => values.forEach((value) => insert.run(...value)))()
  database.close()
}

export const noteColumns = { own: ['body', 'wrapped_key', 'iv'], read: ['owner'] }

export function notesOptions(path: string, more: Partial<SqliteTableOptions> = {}): SqliteTableOptions {
  return { path, shown: 'notes.db', table: 'notes', columns: noteColumns, busyTimeoutMs: 1000, ...more }
}

/** A transformer in this thread. */
export function inline(settings: TransformSettings, width = 4): Transformer {
  const transform = createTransform(settings)
  return { width, transform: async (batch) => transform(batch), close: async () => {} }
}

export interface MigrationOptions {
  readonly formats?: readonly FormatChoice[]
  readonly run?: Partial<RunSettings>
  readonly transform?: Partial<TransformSettings>
}

/** A whole run in this process, going on where an unfinished one stopped. */
export async function migrate(
  source: RowSource,
  { formats = [{ kind: 'built-in', type: 'jwe' }], run = {}, transform = {} }: MigrationOptions = {},
): Promise<RunState> {
  const digestKey = new Uint8Array(32).fill(7)
  const { table, column, columns } = source.target
  const latest = await source.latestRun()
  const state =
    latest === undefined || latest.status === 'finished'
      ? newRunState({
          runId: randomUUID(),
          table,
          column,
          dataset: 'set',
          startedAt: new Date().toISOString(),
        })
      : latest
  return await reencrypt({
    source,
    transformer: inline({
      table,
      column,
      formats: await makeFormats(formats, columns),
      keys: keySet(oldKey),
      acceptUnauthenticated: false,
      digestKey,
      ...transform,
    }),
    state,
    dataset: state.dataset,
    recipients: [identity.recipient],
    identities: [identity],
    life: defaultLife,
    batchRows: 32,
    batchBytes: 1024 * 1024,
    checkEvery: 10,
    maxPasses: 10,
    digestKey,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...run,
  })
}

export async function migrateTable(
  options: SqliteTableOptions,
  migration: MigrationOptions = {},
): Promise<RunState> {
  const source = openSqliteTable(options)
  try {
    return await migrate(source, migration)
  } finally {
    source.close()
  }
}

/** Reads records as an application would, with the wrapped keys of the database they are in. */
export class RecordReader {
  readonly #keys = new Map<string, DataKey>()

  static async open(database: Database.Database, who: LocalIdentity = identity): Promise<RecordReader> {
    const reader = new RecordReader()
    const rows = database
      .prepare<[], { key_id: Uint8Array; wrapped_key: Uint8Array; key_context: string }>(
        'SELECT key_id, wrapped_key, key_context FROM longhold_data_keys',
      )
      .all()
    for (const { key_id, wrapped_key, key_context } of rows) {
      const keyContext = JSON.parse(key_context) as Record<string, string>
      reader.#keys.set(toHex(key_id), await unwrapDataKey(wrapped_key, { identities: [who], keyContext }))
    }
    return reader
  }

  read(value: string | Uint8Array, recordContext: Record<string, string>): string {
    const record = typeof value === 'string' ? fromText(value) : Uint8Array.from(value)
    const key = this.#keys.get(toHex(record.subarray(4, 20)))
    if (key === undefined) throw new Error('no data key for the record')
    return Buffer.from(key.decrypt(record, { recordContext })).toString()
  }
}
