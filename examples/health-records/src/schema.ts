/** The tables, and which columns of a patient's record are encrypted. */

import { LongholdError } from '@longhold/core'
import { encryptedColumns } from '@longhold/core/drizzle'
import type { EncryptedColumns } from '@longhold/core/drizzle'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/** No key: for the columns themselves, and for looking somebody up. */
export const noKey = (): never => {
  throw new LongholdError('bad_input', 'whose record? take columns.withKey')
}

/** Each record is under a data key of its patient, which `columns.withKey` names: see `records.ts`. */
export const columns: EncryptedColumns<'sqlite'> = encryptedColumns(noKey, {
  table: 'health_records',
  dialect: 'sqlite',
})

export const healthRecords = sqliteTable('health_records', {
  id: text().primaryKey(),
  name: columns.text('name').notNull(),
  insuranceNumber: columns.text('insurance_number').notNull(),
  /** NULL once the patient is forgotten: whoever has the index key could try numbers on it. */
  insuranceIndex: columns.blindIndex('insurance_index', { of: 'insurance_number' }),
  born: columns.date('born').notNull(),
  diagnoses: columns.json<string[]>('diagnoses').notNull(),
  forgottenAt: integer('forgotten_at', { mode: 'timestamp_ms' }),
})

export const attachments = sqliteTable('attachments', {
  id: text().primaryKey(),
  patient: text().notNull(),
  mediaType: text('media_type').notNull(),
})

const statements = `
CREATE TABLE IF NOT EXISTS health_records (
  id TEXT PRIMARY KEY, name BLOB NOT NULL, insurance_number BLOB NOT NULL, insurance_index BLOB,
  born BLOB NOT NULL, diagnoses BLOB NOT NULL, forgotten_at INTEGER
);
CREATE INDEX IF NOT EXISTS health_records_insurance ON health_records (insurance_index);
CREATE TABLE IF NOT EXISTS attachments (
  id TEXT PRIMARY KEY, patient TEXT NOT NULL REFERENCES health_records (id), media_type TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS attachments_patient ON attachments (patient);
`

export type AppDatabase = ReturnType<typeof openDatabase>['db']

/** Opens the database and makes what is missing. */
export function openDatabase(path: string) {
  const client = new Database(path)
  client.pragma('journal_mode = WAL')
  client.exec(statements)
  return { db: drizzle({ client }), close: () => client.close() }
}
