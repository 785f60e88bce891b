/**
 * Wrapped keys in SQLite, over a Drizzle database whose driver is synchronous (better-sqlite3, node:sqlite, bun:sqlite).
 * The table is the one that the command line makes and reads (SPEC §12).
 *
 * @module @longhold/core/stores/sqlite
 */

import { and, asc, desc, eq, getTableColumns, gt, sql } from 'drizzle-orm'
import { customType, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { SQLiteAsyncDatabase } from 'drizzle-orm/sqlite-core/async'

import { equalBytes, toBase64url } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import {
  checkChanges,
  checkDistinct,
  checkMove,
  checkWrappedKey,
  heldAlready,
  keyContextJson,
} from '../keys/wrapped-key-store.ts'
import type {
  DataKeyOwner,
  DataKeyPortion,
  DataKeyState,
  DataKeyUse,
  DestroyedDataKey,
  NewDataKey,
  PageOptions,
  StoredDataKey,
  WrappedKeyChange,
  WrappedKeyStore,
  WritingKeyAnswer,
} from '../keys/wrapped-key-store.ts'
import { checkDatabase, dataKeyOf, destroyedOf, newRow, translated } from './sql-rows.ts'

/** What `drizzle()` of a synchronous driver returns. */
export type SqliteDatabase = Pick<
  SQLiteAsyncDatabase<'sync', unknown>,
  'select' | 'insert' | 'update' | 'delete' | 'run' | 'get'
>

/** What `SqliteKeyStore.open` runs, for those who make their tables elsewhere. */
export const sqliteSchema: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS longhold_data_keys (
  key_id BLOB PRIMARY KEY CHECK (length(key_id) = 16),
  wrapped_key BLOB NOT NULL,
  key_context TEXT NOT NULL,
  name TEXT,
  state TEXT NOT NULL CHECK (state IN ('writing', 'reading', 'retired')),
  messages INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
)`,
  'CREATE INDEX IF NOT EXISTS longhold_data_keys_owner ON longhold_data_keys (name, key_context, state)',
  `CREATE TABLE IF NOT EXISTS longhold_destroyed_keys (
  key_id BLOB PRIMARY KEY CHECK (length(key_id) = 16),
  destroyed_at TEXT NOT NULL
)`,
  `CREATE TABLE IF NOT EXISTS longhold_vouched_keys (
  key_id BLOB PRIMARY KEY CHECK (length(key_id) = 16),
  tag BLOB NOT NULL CHECK (length(tag) = 32)
)`,
]

const blob = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => 'blob' })
/** SQLite keeps text in any column, and a column of type TEXT holds the text form. */
const blobOrText = customType<{ data: Uint8Array | string; driverData: Uint8Array | string }>({
  dataType: () => 'blob',
})

const dataKeys = sqliteTable('longhold_data_keys', {
  keyId: blob('key_id').primaryKey(),
  wrappedKey: blobOrText('wrapped_key').notNull(),
  keyContext: text('key_context').notNull(),
  name: text(),
  state: text().notNull(),
  messages: integer().notNull(),
  bytes: integer().notNull(),
  createdAt: text('created_at').notNull(),
  updatedAt: text('updated_at').notNull(),
})

const destroyedKeys = sqliteTable('longhold_destroyed_keys', {
  keyId: blob('key_id').primaryKey(),
  destroyedAt: text('destroyed_at').notNull(),
})

const vouchedKeys = sqliteTable('longhold_vouched_keys', {
  keyId: blob('key_id').primaryKey(),
  tag: blob('tag').notNull(),
})

const { messages, bytes } = dataKeys
/** A data key with its tag, where it has one. */
const columns = { ...getTableColumns(dataKeys), tag: vouchedKeys.tag }
const isItsTag = eq(vouchedKeys.keyId, dataKeys.keyId)

/** Wrapped keys in a SQLite database (SPEC §12), on a synchronous driver. */
export class SqliteKeyStore implements WrappedKeyStore {
  readonly #db: SqliteDatabase

  private constructor(db: SqliteDatabase) {
    this.#db = db
  }

  /**
   * Makes the tables where they are missing. The store has the connection's own durability: with `synchronous` below
   * FULL a power cut can take back a data key, but never one whose records, in the same database, are still there.
   *
   * @param db Not inside a transaction: what the store changes would be undone with it. While the application has one open
   * on the same connection, making, rewrapping, vouching for and destroying data keys is `unavailable`; what is reserved of one
   * meanwhile is undone with it, and then not counted.
   * @throws LongholdError `unavailable`; `bad_input` for what is no Drizzle database, or one whose driver is asynchronous.
   */
  static async open(db: SqliteDatabase): Promise<SqliteKeyStore> {
    checkDatabase(db, 'run', 'SqliteKeyStore.open')
    await translated(() => {
      for (const statement of sqliteSchema) {
        const result: unknown = db.run(sql.raw(statement))
        if (typeof result === 'object' && result !== null && 'then' in result)
          throw badInput(
            'SqliteKeyStore.open: the driver of db is asynchronous',
            'better-sqlite3, node:sqlite and bun:sqlite are not',
          )
      }
    })
    return new SqliteKeyStore(db)
  }

  async get(keyId: Uint8Array): Promise<StoredDataKey | DestroyedDataKey | undefined> {
    return await translated(() => {
      const row = this.#db
        .select(columns)
        .from(dataKeys)
        .leftJoin(vouchedKeys, isItsTag)
        .where(eq(dataKeys.keyId, keyId))
        .get()
      if (row !== undefined) return dataKeyOf(row)
      const gone = this.#db.select().from(destroyedKeys).where(eq(destroyedKeys.keyId, keyId)).get()
      return gone && destroyedOf(gone)
    })
  }

  async findWriting(owner: DataKeyOwner): Promise<StoredDataKey | undefined> {
    return await translated(() => youngestWriting(this.#db, owner))
  }

  async insertWriting(dataKey: NewDataKey, expected: Uint8Array | undefined): Promise<WritingKeyAnswer> {
    const { keyId, wrappedKey, createdAt } = dataKey
    checkWrappedKey(keyId, wrappedKey)
    return await translated(() =>
      inOwnTransaction(this.#db, () => {
        const db = this.#db
        const held = db
          .select({ keyId: dataKeys.keyId })
          .from(dataKeys)
          .where(eq(dataKeys.keyId, keyId))
          .get()
        const gone = db.select().from(destroyedKeys).where(eq(destroyedKeys.keyId, keyId)).get()
        if (held !== undefined || gone !== undefined) throw heldAlready(keyId)
        const before = youngestWriting(db, dataKey)
        if (before !== undefined && !(expected !== undefined && equalBytes(before.keyId, expected))) {
          return { inserted: false, writing: before }
        }
        db.update(dataKeys).set({ state: 'reading', updatedAt: now() }).where(isWritingOf(dataKey)).run()
        const at = createdAt.toISOString()
        const row = db
          .insert(dataKeys)
          .values({ ...newRow(dataKey), createdAt: at, updatedAt: at })
          .returning()
          .get()
        const { tag } = dataKey
        if (tag !== undefined) db.insert(vouchedKeys).values({ keyId, tag }).run()
        return { inserted: true, writing: dataKeyOf({ ...row, ...(tag && { tag }) }) }
      }),
    )
  }

  async reserve(
    keyId: Uint8Array,
    use: DataKeyUse,
    ceiling: DataKeyUse | undefined,
  ): Promise<StoredDataKey | undefined> {
    return await translated(() => {
      const row = this.#db
        .update(dataKeys)
        .set({
          messages: sql`${messages} + ${use.messages}`,
          bytes: sql`${bytes} + ${use.bytes}`,
          updatedAt: now(),
        })
        .where(
          and(
            eq(dataKeys.keyId, keyId),
            ceiling && eq(dataKeys.state, 'writing'),
            ceiling && sql`${messages} + ${use.messages} <= ${ceiling.messages}`,
            ceiling && sql`${bytes} + ${use.bytes} <= ${ceiling.bytes}`,
          ),
        )
        .returning()
        .get()
      return row && dataKeyOf(row)
    })
  }

  async release(portions: readonly DataKeyPortion[]): Promise<void> {
    checkDistinct(portions)
    if (portions.length === 0) return
    const release = ({ keyId, ...use }: DataKeyPortion): unknown =>
      this.#db
        .update(dataKeys)
        .set({
          messages: sql`max(0, ${messages} - ${use.messages})`,
          bytes: sql`max(0, ${bytes} - ${use.bytes})`,
          updatedAt: now(),
        })
        .where(eq(dataKeys.keyId, keyId))
        .run()
    await translated(() => {
      // One statement is whole by itself, and may be part of what the application has under way: undone, the count is too high.
      const [only] = portions
      if (only !== undefined && portions.length === 1) release(only)
      else inOwnTransaction(this.#db, () => portions.forEach(release))
    })
  }

  async move(keyId: Uint8Array, from: DataKeyState, to: DataKeyState): Promise<boolean> {
    checkMove(from, to)
    return await translated(() => {
      const moved = this.#db
        .update(dataKeys)
        .set({ state: to, updatedAt: now() })
        .where(and(eq(dataKeys.keyId, keyId), eq(dataKeys.state, from)))
        .returning({ keyId: dataKeys.keyId })
        .get()
      return moved !== undefined
    })
  }

  async replaceWrappedKeys(changes: readonly WrappedKeyChange[]): Promise<readonly boolean[]> {
    checkChanges(changes)
    if (changes.length === 0) return []
    return await translated(() =>
      inOwnTransaction(this.#db, () => changes.map((change) => replaceOne(this.#db, change))),
    )
  }

  async setTag(keyId: Uint8Array, tag: Uint8Array): Promise<boolean> {
    return await translated(() =>
      inOwnTransaction(this.#db, () => {
        const there = this.#db
          .update(dataKeys)
          .set({ updatedAt: now() })
          .where(eq(dataKeys.keyId, keyId))
          .returning({ keyId: dataKeys.keyId })
          .get()
        if (there === undefined) return false
        this.#db
          .insert(vouchedKeys)
          .values({ keyId, tag })
          .onConflictDoUpdate({ target: vouchedKeys.keyId, set: { tag } })
          .run()
        return true
      }),
    )
  }

  async page({ after, limit, owner }: PageOptions): Promise<readonly StoredDataKey[]> {
    return await translated(() =>
      this.#db
        .select(columns)
        .from(dataKeys)
        .leftJoin(vouchedKeys, isItsTag)
        .where(and(after && gt(dataKeys.keyId, after), owner && isOf(owner)))
        .orderBy(asc(dataKeys.keyId))
        .limit(limit)
        .all()
        .map(dataKeyOf),
    )
  }

  async destroy(keyId: Uint8Array): Promise<boolean> {
    return await translated(() => {
      // Overwrites what is deleted, at least in the pages of the file: the journal and backups are the operator's.
      const before = this.#db.get<{ secure_delete: number }>(sql`PRAGMA secure_delete`)
      this.#db.get(sql`PRAGMA secure_delete = ON`)
      try {
        return inOwnTransaction(this.#db, () => {
          const deleted = this.#db
            .delete(dataKeys)
            .where(eq(dataKeys.keyId, keyId))
            .returning({ keyId: dataKeys.keyId })
            .get()
          if (deleted === undefined) return false
          this.#db.delete(vouchedKeys).where(eq(vouchedKeys.keyId, keyId)).run()
          this.#db.insert(destroyedKeys).values({ keyId, destroyedAt: now() }).run()
          return true
        })
      } finally {
        this.#db.get(sql.raw(`PRAGMA secure_delete = ${before?.secure_delete ?? 0}`))
      }
    })
  }
}

/**
 * Drizzle would nest it in a transaction that the application has open on the connection. Whoever rolled that back would take
 * away a data key that records are being written under, and nobody could read those.
 */
function inOwnTransaction<T>(db: SqliteDatabase, run: () => T): T {
  try {
    db.run(sql`BEGIN IMMEDIATE`)
  } catch (error) {
    throw isNested(error) ? nested() : error
  }
  try {
    const result = run()
    db.run(sql`COMMIT`)
    return result
  } catch (error) {
    try {
      db.run(sql`ROLLBACK`)
    } catch {
      // SQLite has done so itself, for a full disk; the first error says more
    }
    throw error
  }
}

/** SQLite has no code of its own for it; the text is the same in all drivers. */
function isNested(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at.message.includes('within a transaction')) return true
  }
  return false
}

function nested(): LongholdError {
  return new LongholdError('unavailable', 'the connection of the wrapped keys is inside a transaction', {
    hint: 'what is stored in it could be undone: open the store on a connection of its own, or await handle.ready() before',
  })
}

function replaceOne(
  db: SqliteDatabase,
  { keyId, expected, replacement, stopWriting }: WrappedKeyChange,
): boolean {
  const { wrappedKey, state } = dataKeys
  const [expectedText, replacementText] = [toBase64url(expected), toBase64url(replacement)]
  const replaced = db
    .update(dataKeys)
    .set({
      wrappedKey: sql`case typeof(${wrappedKey}) when 'text' then ${replacementText} else ${replacement} end`,
      ...(stopWriting && { state: sql`case ${state} when 'writing' then 'reading' else ${state} end` }),
      updatedAt: now(),
    })
    .where(and(eq(dataKeys.keyId, keyId), sql`${wrappedKey} in (${expected}, ${expectedText})`))
    .returning({ keyId: dataKeys.keyId })
    .get()
  return replaced !== undefined
}

function youngestWriting(db: SqliteDatabase, owner: DataKeyOwner): StoredDataKey | undefined {
  const row = db
    .select(columns)
    .from(dataKeys)
    .leftJoin(vouchedKeys, isItsTag)
    .where(isWritingOf(owner))
    .orderBy(desc(dataKeys.createdAt), desc(dataKeys.keyId))
    .limit(1)
    .get()
  return row && dataKeyOf(row)
}

function isWritingOf(owner: DataKeyOwner) {
  return and(isOf(owner), eq(dataKeys.state, 'writing'))
}

function isOf({ name, keyContext }: DataKeyOwner) {
  return and(eq(dataKeys.name, name), eq(dataKeys.keyContext, keyContextJson(keyContext)))
}

function now(): string {
  return new Date().toISOString()
}
