/** PostgreSQL: one database for any number of nodes. */

import { and, asc, eq, getTableColumns, inArray, lte, sql } from 'drizzle-orm'
import type { Column } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { PgTable } from 'drizzle-orm/pg-core'

import type {
  AuditRow,
  Commit,
  Filling,
  HeadRow,
  KeyStore,
  Outcome,
  Page,
  RowPage,
  Snapshot,
} from '../../service/key-store.ts'
import type { KeyOf, Rows, Stored, TableName, VersionRow } from '../../service/rows.ts'
import { columnNamed } from '../sql/columns.ts'
import type { SchemaUpgrade } from '../sql/migrations.ts'
import { rowFrom } from '../sql/rows.ts'
import { openPool, translated } from './connection.ts'
import type { Connection } from './connection.ts'
import { beginFilling } from './filling.ts'
import { migrateDatabase } from './migrate.ts'
import { auditEntries, versions } from './schema.ts'
import { TableReads } from './table-reads.ts'
import { runCommit } from './writes.ts'

export interface PostgresStoreOptions {
  /** `postgres://…`, without a password. */
  readonly url: string
  /** Default: 10. */
  readonly maxConnections?: number
  /** Told when the database had an older schema, which it has no more. */
  readonly onUpgrade?: ((upgrade: SchemaUpgrade) => void) | undefined
}

export class PostgresStore implements KeyStore {
  readonly #connection: Connection
  readonly #reads: TableReads

  private constructor(connection: Connection) {
    this.#connection = connection
    this.#reads = new TableReads(connection.db)
  }

  /**
   * Opens the database and brings it to this release's schema.
   *
   * @throws ServiceError `newer_database`, `bad_config`, `storage_unavailable`.
   */
  static async open({ url, maxConnections = 10, onUpgrade }: PostgresStoreOptions): Promise<PostgresStore> {
    const connection = openPool(url, maxConnections)
    try {
      const upgrade = await migrateDatabase(connection.db)
      if (upgrade !== undefined && upgrade.from > 0) onUpgrade?.(upgrade)
      return new PostgresStore(connection)
    } catch (error) {
      await connection.pool.end()
      throw error
    }
  }

  async head(): Promise<HeadRow | undefined> {
    return await this.#reads.head()
  }

  /** That would be a question to the server, as the row is. */
  stamp(): undefined {
    return undefined
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    return await this.#reads.row(table, key)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    return await this.#reads.rows(table, page)
  }

  async now(): Promise<number> {
    // Not now(), which is the beginning of a transaction.
    const shown = sql`select (extract(epoch from clock_timestamp()) * 1000)::bigint::text as ms`
    const [row] = await translated(async () => this.#connection.db.execute<{ ms: string }>(shown, 'objects'))
    return Number(row?.ms)
  }

  async versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<Stored<VersionRow>[]> {
    const [id, ...others] = recipientIds
    if (id === undefined) return []
    if (others.length === 0) {
      const row = await this.#reads.versionByRecipientId(id)
      return row === undefined ? [] : [row]
    }
    const from: PgTable = versions
    const column: Column = columnNamed(getTableColumns(versions), 'recipientId')
    const isOne = inArray(column, [...recipientIds])
    const rows = await translated(async () => this.#connection.db.select().from(from).where(isOne))
    return rows.map((row) => rowFrom('versions', row))
  }

  async auditRuns(): Promise<string[]> {
    const { run } = auditEntries
    const rows = await translated(async () => this.#connection.db.selectDistinct({ run }).from(auditEntries))
    return rows.map((row) => row.run)
  }

  async auditEntries(run: string, page: Page<number>): Promise<AuditRow[]> {
    return await this.#reads.auditEntries(run, page)
  }

  async commit(commit: Commit): Promise<Outcome> {
    return await runCommit(this.#connection.db, commit)
  }

  async forgetAuditEntries(run: string, page: { through: number; limit: number }): Promise<number> {
    const { db } = this.#connection
    const oldest = db
      .select({ seq: auditEntries.seq })
      .from(auditEntries)
      .where(and(eq(auditEntries.run, run), lte(auditEntries.seq, page.through)))
      .orderBy(asc(auditEntries.seq))
      .limit(page.limit)
    const isOne = and(eq(auditEntries.run, run), inArray(auditEntries.seq, oldest))
    const { rowCount } = await translated(async () => db.delete(auditEntries).where(isOne))
    return rowCount ?? 0
  }

  /** A transaction of its own, on a connection of its own, that reads what was there when it began. */
  async snapshot(): Promise<Snapshot> {
    const client = await translated(() => this.#connection.pool.connect())
    try {
      const db = drizzle({ client })
      await translated(async () =>
        db.execute(sql`begin transaction isolation level repeatable read read only`),
      )
      const reads = new TableReads(db)
      await reads.head()
      return {
        head: () => reads.head(),
        row: (table, key) => reads.row(table, key),
        rows: (table, page) => reads.rows(table, page),
        auditEntries: (run, page) => reads.auditEntries(run, page),
        close: async () => {
          try {
            await client.query('rollback')
            client.release()
          } catch {
            // The connection is of no use to anybody: it is not given back.
            client.release(true)
          }
        },
      }
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  async fill(): Promise<Filling> {
    return await beginFilling(this.#connection.pool)
  }

  async close(): Promise<void> {
    await this.#connection.pool.end()
  }
}
