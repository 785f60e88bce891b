/**
 * Wrapped keys in PostgreSQL, over a Drizzle database of any of its drivers (tested with node-postgres). The table is
 * the one of SPEC §12.
 *
 * @module @longhold/core/stores/postgres
 */

import { and, asc, desc, eq, getTableColumns, gt, sql } from 'drizzle-orm'
import type { PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { bigint, customType, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import type { PgAsyncDatabase } from 'drizzle-orm/pg-core/async'

import { equalBytes } from '../bytes.ts'
import { checkMove, checkWrappedKey, heldAlready, keyContextJson } from '../keys/wrapped-key-store.ts'
import type {
  DataKeyOwner,
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
import { checkDatabase, dataKeyOf, databaseCode, destroyedOf, newRow, translated } from './sql-rows.ts'

/** What `drizzle()` of a PostgreSQL driver returns. */
export type PostgresDatabase = Pick<
  PgAsyncDatabase<PgQueryResultHKT>,
  'select' | 'insert' | 'update' | 'delete' | 'transaction' | 'execute'
>

/** What `PostgresKeyStore.open` runs where the tables are missing, for those who make their tables elsewhere. */
export const postgresSchema: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS longhold_data_keys (
  key_id bytea PRIMARY KEY CHECK (octet_length(key_id) = 16),
  wrapped_key bytea NOT NULL,
  key_context text NOT NULL,
  name text,
  state text NOT NULL CHECK (state IN ('writing', 'reading', 'retired')),
  messages bigint NOT NULL,
  bytes bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
)`,
  'CREATE INDEX IF NOT EXISTS longhold_data_keys_owner ON longhold_data_keys (name, key_context, state)',
  `CREATE TABLE IF NOT EXISTS longhold_destroyed_keys (
  key_id bytea PRIMARY KEY CHECK (octet_length(key_id) = 16),
  destroyed_at timestamptz NOT NULL
)`,
  `CREATE TABLE IF NOT EXISTS longhold_vouched_keys (
  key_id bytea PRIMARY KEY CHECK (octet_length(key_id) = 16),
  tag bytea NOT NULL CHECK (octet_length(tag) = 32)
)`,
]

const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
  codec: 'bytea',
})
const time = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' }).notNull()
const count = () => bigint({ mode: 'number' }).notNull()

const dataKeys = pgTable('longhold_data_keys', {
  keyId: bytea('key_id').primaryKey(),
  wrappedKey: bytea('wrapped_key').notNull(),
  keyContext: text('key_context').notNull(),
  name: text(),
  state: text().notNull(),
  messages: count(),
  bytes: count(),
  createdAt: time('created_at'),
  updatedAt: time('updated_at'),
})

const destroyedKeys = pgTable('longhold_destroyed_keys', {
  keyId: bytea('key_id').primaryKey(),
  destroyedAt: time('destroyed_at'),
})

const vouchedKeys = pgTable('longhold_vouched_keys', {
  keyId: bytea('key_id').primaryKey(),
  tag: bytea('tag').notNull(),
})

const { messages, bytes } = dataKeys
/** A data key with its tag, where it has one. */
const columns = { ...getTableColumns(dataKeys), tag: vouchedKeys.tag }
const isItsTag = eq(vouchedKeys.keyId, dataKeys.keyId)
/** Another default of the database would make concurrent steps fail that only have to wait for each other. */
const readCommitted = { isolationLevel: 'read committed' } as const
const uniqueViolation = '23505'
/** Any number of ours alone, for the lock under which tables are made. */
const schemaLock = 0x6c686b31

/** Wrapped keys in a PostgreSQL database (SPEC §12), for any number of processes. */
export class PostgresKeyStore implements WrappedKeyStore {
  readonly #db: PostgresDatabase

  private constructor(db: PostgresDatabase) {
    this.#db = db
  }

  /**
   * Makes the tables where they are missing; whoever may not make tables makes them beforehand (`postgresSchema`).
   *
   * @param db Over a pool. Not a transaction: what the store changes would be undone with it.
   * @throws LongholdError `unavailable`; `bad_input` for what is no Drizzle database, or a transaction.
   */
  static async open(db: PostgresDatabase): Promise<PostgresKeyStore> {
    checkDatabase(db, 'execute', 'PostgresKeyStore.open')
    await translated(async () => {
      const [found] = await db.execute<{ there: boolean }>(
        sql`select to_regclass('longhold_data_keys') is not null
              and to_regclass('longhold_data_keys_owner') is not null
              and to_regclass('longhold_destroyed_keys') is not null
              and to_regclass('longhold_vouched_keys') is not null as there`,
        'objects',
      )
      if (found?.there === true) return
      await db.transaction(async (tx) => {
        // Two that make the same table at once would meet an error.
        await tx.execute(sql`select pg_advisory_xact_lock(${schemaLock})`)
        for (const statement of postgresSchema) await tx.execute(sql.raw(statement))
      }, readCommitted)
    })
    return new PostgresKeyStore(db)
  }

  async get(keyId: Uint8Array): Promise<StoredDataKey | DestroyedDataKey | undefined> {
    return await translated(async () => {
      const [row] = await this.#db
        .select(columns)
        .from(dataKeys)
        .leftJoin(vouchedKeys, isItsTag)
        .where(eq(dataKeys.keyId, keyId))
      if (row !== undefined) return dataKeyOf(row)
      const [gone] = await this.#db.select().from(destroyedKeys).where(eq(destroyedKeys.keyId, keyId))
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
      this.#db.transaction(async (tx) => {
        // One after the other for each owner: a row that is not there yet cannot be locked.
        const owner = `${dataKey.name}\n${keyContextJson(dataKey.keyContext)}`
        await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${owner}, ${schemaLock}))`)
        const [gone] = await tx.select().from(destroyedKeys).where(eq(destroyedKeys.keyId, keyId))
        const [held] = await tx.select().from(dataKeys).where(eq(dataKeys.keyId, keyId))
        if (held !== undefined || gone !== undefined) throw heldAlready(keyId)
        const before = await youngestWriting(tx, dataKey)
        if (before !== undefined && !(expected !== undefined && equalBytes(before.keyId, expected))) {
          return { inserted: false, writing: before }
        }
        await tx.update(dataKeys).set({ state: 'reading', updatedAt: new Date() }).where(isWritingOf(dataKey))
        const [row] = await tx
          .insert(dataKeys)
          .values({ ...newRow(dataKey), createdAt, updatedAt: createdAt })
          .returning()
          .catch((error: unknown) => {
            throw databaseCode(error) === uniqueViolation ? heldAlready(keyId) : error
          })
        if (row === undefined) throw new Error('an insert that returned no row')
        const { tag } = dataKey
        if (tag !== undefined) await tx.insert(vouchedKeys).values({ keyId, tag })
        return { inserted: true, writing: dataKeyOf({ ...row, ...(tag && { tag }) }) }
      }, readCommitted),
    )
  }

  async reserve(keyId: Uint8Array, use: DataKeyUse, ceiling: DataKeyUse): Promise<StoredDataKey | undefined> {
    return await translated(async () => {
      const [row] = await this.#db
        .update(dataKeys)
        .set({
          messages: sql`${messages} + ${use.messages}::bigint`,
          bytes: sql`${bytes} + ${use.bytes}::bigint`,
          updatedAt: new Date(),
        })
        .where(
          and(
            eq(dataKeys.keyId, keyId),
            eq(dataKeys.state, 'writing'),
            sql`${messages} + ${use.messages}::bigint <= ${ceiling.messages}::bigint`,
            sql`${bytes} + ${use.bytes}::bigint <= ${ceiling.bytes}::bigint`,
          ),
        )
        .returning()
      return row && dataKeyOf(row)
    })
  }

  async release(keyId: Uint8Array, use: DataKeyUse): Promise<void> {
    await translated(() =>
      this.#db
        .update(dataKeys)
        .set({
          messages: sql`greatest(0, ${messages} - ${use.messages}::bigint)`,
          bytes: sql`greatest(0, ${bytes} - ${use.bytes}::bigint)`,
          updatedAt: new Date(),
        })
        .where(eq(dataKeys.keyId, keyId)),
    )
  }

  async move(keyId: Uint8Array, from: DataKeyState, to: DataKeyState): Promise<boolean> {
    checkMove(from, to)
    return await translated(async () => {
      const moved = await this.#db
        .update(dataKeys)
        .set({ state: to, updatedAt: new Date() })
        .where(and(eq(dataKeys.keyId, keyId), eq(dataKeys.state, from)))
        .returning({ keyId: dataKeys.keyId })
      return moved.length > 0
    })
  }

  async replaceWrappedKey(
    keyId: Uint8Array,
    { expected, replacement, stopWriting }: WrappedKeyChange,
  ): Promise<boolean> {
    checkWrappedKey(keyId, replacement)
    return await translated(async () => {
      const { state } = dataKeys
      const replaced = await this.#db
        .update(dataKeys)
        .set({
          wrappedKey: replacement,
          ...(stopWriting && { state: sql`case ${state} when 'writing' then 'reading' else ${state} end` }),
          updatedAt: new Date(),
        })
        .where(and(eq(dataKeys.keyId, keyId), eq(dataKeys.wrappedKey, expected)))
        .returning({ keyId: dataKeys.keyId })
      return replaced.length > 0
    })
  }

  async setTag(keyId: Uint8Array, tag: Uint8Array): Promise<boolean> {
    return await translated(() =>
      this.#db.transaction(async (tx) => {
        const there = await tx
          .update(dataKeys)
          .set({ updatedAt: new Date() })
          .where(eq(dataKeys.keyId, keyId))
          .returning({ keyId: dataKeys.keyId })
        if (there.length === 0) return false
        await tx
          .insert(vouchedKeys)
          .values({ keyId, tag })
          .onConflictDoUpdate({ target: vouchedKeys.keyId, set: { tag } })
        return true
      }, readCommitted),
    )
  }

  async page({ after, limit, owner }: PageOptions): Promise<readonly StoredDataKey[]> {
    return await translated(async () => {
      const rows = await this.#db
        .select(columns)
        .from(dataKeys)
        .leftJoin(vouchedKeys, isItsTag)
        .where(and(after && gt(dataKeys.keyId, after), owner && isOf(owner)))
        .orderBy(asc(dataKeys.keyId))
        .limit(limit)
      return rows.map(dataKeyOf)
    })
  }

  async destroy(keyId: Uint8Array): Promise<boolean> {
    return await translated(() =>
      this.#db.transaction(async (tx) => {
        const deleted = await tx
          .delete(dataKeys)
          .where(eq(dataKeys.keyId, keyId))
          .returning({ keyId: dataKeys.keyId })
        if (deleted.length === 0) return false
        await tx.delete(vouchedKeys).where(eq(vouchedKeys.keyId, keyId))
        await tx.insert(destroyedKeys).values({ keyId, destroyedAt: new Date() })
        return true
      }, readCommitted),
    )
  }
}

async function youngestWriting(
  db: Pick<PostgresDatabase, 'select'>,
  owner: DataKeyOwner,
): Promise<StoredDataKey | undefined> {
  const [row] = await db
    .select(columns)
    .from(dataKeys)
    .leftJoin(vouchedKeys, isItsTag)
    .where(isWritingOf(owner))
    .orderBy(desc(dataKeys.createdAt), desc(dataKeys.keyId))
    .limit(1)
  return row && dataKeyOf(row)
}

function isWritingOf(owner: DataKeyOwner) {
  return and(isOf(owner), eq(dataKeys.state, 'writing'))
}

function isOf({ name, keyContext }: DataKeyOwner) {
  return and(eq(dataKeys.name, name), eq(dataKeys.keyContext, keyContextJson(keyContext)))
}
