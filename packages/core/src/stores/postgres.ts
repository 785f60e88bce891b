/**
 * Wrapped keys in PostgreSQL, over a Drizzle database of any of its drivers (tested with node-postgres). The table is
 * the one of SPEC §12.
 *
 * @module @longhold/core/stores/postgres
 */

import { and, asc, desc, eq, getTableColumns, gt, inArray, sql } from 'drizzle-orm'
import type { PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { bigint, customType, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import type { PgAsyncDatabase } from 'drizzle-orm/pg-core/async'

import { equalBytes, toHex } from '../bytes.ts'
import { badInput } from '../errors.ts'
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
import { checkDatabase, dataKeyOf, databaseCode, destroyedOf, newRow, translated } from './sql-rows.ts'

/** What `drizzle()` of a PostgreSQL driver returns. */
export type PostgresDatabase = Pick<
  PgAsyncDatabase<PgQueryResultHKT>,
  'select' | 'insert' | 'update' | 'delete' | 'transaction' | 'execute'
> & { readonly $client?: unknown }

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
   * @param db Over a pool of its own, or of the application: who awaits the store inside a transaction then waits for a
   * second connection, and for ever where the pool has none to give. Not a transaction: what the store changes would be
   * undone with it.
   * @throws LongholdError `unavailable`; `bad_input` for what is no Drizzle database, a transaction, or one connection.
   */
  static async open(db: PostgresDatabase): Promise<PostgresKeyStore> {
    checkDatabase(db, 'execute', 'PostgresKeyStore.open')
    checkPool(db)
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

  async reserve(
    keyId: Uint8Array,
    use: DataKeyUse,
    ceiling: DataKeyUse | undefined,
  ): Promise<StoredDataKey | undefined> {
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
            ceiling && eq(dataKeys.state, 'writing'),
            ceiling && sql`${messages} + ${use.messages}::bigint <= ${ceiling.messages}::bigint`,
            ceiling && sql`${bytes} + ${use.bytes}::bigint <= ${ceiling.bytes}::bigint`,
          ),
        )
        .returning()
      return row && dataKeyOf(row)
    })
  }

  async release(portions: readonly DataKeyPortion[]): Promise<void> {
    checkDistinct(portions)
    if (portions.length === 0) return
    const given = sql.join(
      portions.map(
        (portion) =>
          sql`(${sql.param(portion.keyId, dataKeys.keyId)}::bytea, ${portion.messages}::bigint, ${portion.bytes}::bigint)`,
      ),
      sql`, `,
    )
    await translated(() =>
      this.#changing(portions, (tx) =>
        tx
          .update(dataKeys)
          .set({
            messages: sql`greatest(0, ${messages} - given.messages)`,
            bytes: sql`greatest(0, ${bytes} - given.bytes)`,
            updatedAt: new Date(),
          })
          .from(sql`(values ${given}) as given (id, messages, bytes)`)
          .where(eq(dataKeys.keyId, sql`given.id`)),
      ),
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

  async replaceWrappedKeys(changes: readonly WrappedKeyChange[]): Promise<readonly boolean[]> {
    checkChanges(changes)
    if (changes.length === 0) return []
    const { keyId, wrappedKey, state } = dataKeys
    const given = sql.join(
      changes.map(
        (
          change,
        ) => sql`(${sql.param(change.keyId, keyId)}::bytea, ${sql.param(change.expected, wrappedKey)}::bytea,
          ${sql.param(change.replacement, wrappedKey)}::bytea, ${change.stopWriting}::boolean)`,
      ),
      sql`, `,
    )
    const replaced = await translated(() =>
      this.#changing(changes, (tx) =>
        tx
          .update(dataKeys)
          .set({
            wrappedKey: sql`given.replacement`,
            state: sql`case when given.stop and ${state} = 'writing' then 'reading' else ${state} end`,
            updatedAt: new Date(),
          })
          .from(sql`(values ${given}) as given (id, expected, replacement, stop)`)
          .where(and(eq(keyId, sql`given.id`), eq(wrappedKey, sql`given.expected`)))
          .returning({ keyId }),
      ),
    )
    const ids = new Set(replaced.map((row) => toHex(row.keyId)))
    return changes.map((change) => ids.has(toHex(change.keyId)))
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

  /** Locks rows in one order first: of two that change the same ones, the second then waits, and neither is refused. */
  async #changing<T>(
    rows: readonly { readonly keyId: Uint8Array }[],
    change: (tx: Pick<PostgresDatabase, 'update'>) => PromiseLike<T>,
  ): Promise<T> {
    return await this.#db.transaction(async (tx) => {
      await tx
        .select({ keyId: dataKeys.keyId })
        .from(dataKeys)
        .where(
          inArray(
            dataKeys.keyId,
            rows.map(({ keyId }) => keyId),
          ),
        )
        .orderBy(asc(dataKeys.keyId))
        .for('update')
      return await change(tx)
    }, readCommitted)
  }
}

/** @throws LongholdError `bad_input` for one connection of node-postgres or of a driver made after it; others say nothing of it. */
function checkPool(db: { readonly $client?: unknown }): void {
  const client = db.$client
  if (typeof client !== 'object' || client === null || !('escapeIdentifier' in client)) return
  throw badInput(
    'PostgresKeyStore.open: db is over one connection, and would end the transactions that the application has open on it',
    'drizzle({ client: new Pool(…) }), of one connection if need be',
  )
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
