/** SQLite, embedded: reads on the calling thread (WAL), all writes through one writer in a thread of its own. */

import { eq, getTableColumns, sql } from 'drizzle-orm'

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
import { openBeside } from './beside.ts'
import { createPrivateFile, openConnection, storageUnavailable, translated } from './connection.ts'
import type { Connection } from './connection.ts'
import { beginFilling } from './filling.ts'
import { lockDatabase } from './lock.ts'
import { migrateDatabase } from './migrate.ts'
import { auditEntries, versions } from './schema.ts'
import { prepareRead } from './statements.ts'
import type { ReadStatement } from './statements.ts'
import { TableReads } from './table-reads.ts'
import { WriterThread } from './writer-thread.ts'

export interface SqliteStoreOptions {
  /** Made when it does not exist, readable by its owner only. */
  readonly path: string
  /** How long a write waits for a lock that another program holds. */
  readonly busyTimeoutMs?: number
  /** Told when the database had an older schema, which it has no more. */
  readonly onUpgrade?: ((upgrade: SchemaUpgrade) => void) | undefined
}

interface Parts {
  readonly file: string
  readonly busyTimeoutMs: number
  readonly reader: Connection
  readonly writer: WriterThread
  readonly lock: { release(): void }
}

export class SqliteStore implements KeyStore {
  readonly #file: string
  readonly #busyTimeoutMs: number
  readonly #reader: Connection
  readonly #reads: TableReads
  readonly #byRecipientId: ReadStatement<'versions'>
  readonly #dataVersion: { get(): number | undefined }
  readonly #writer: WriterThread
  readonly #lock: { release(): void }

  private constructor({ file, busyTimeoutMs, reader, writer, lock }: Parts) {
    this.#file = file
    this.#busyTimeoutMs = busyTimeoutMs
    this.#reader = reader
    this.#reads = new TableReads(reader)
    this.#byRecipientId = translated(() => {
      const isIt = eq(columnNamed(getTableColumns(versions), 'recipientId'), sql.placeholder('recipientId'))
      return prepareRead(reader, 'versions', reader.db.select().from(versions).where(isIt))
    })
    this.#dataVersion = translated(() => reader.client.prepare<[], number>('PRAGMA data_version').pluck())
    this.#writer = writer
    this.#lock = lock
  }

  /**
   * Opens the database and brings it to this release's schema.
   *
   * @throws ServiceError `database_in_use`, `newer_database`, `bad_config`, `storage_unavailable`.
   */
  static open({ path, busyTimeoutMs = 2000, onUpgrade }: SqliteStoreOptions): SqliteStore {
    const file = createPrivateFile(path)
    const lock = lockDatabase(file)
    try {
      const setup = openConnection(file, { readonly: false, busyTimeoutMs })
      try {
        const upgrade = migrateDatabase(setup, path)
        if (upgrade !== undefined && upgrade.from > 0) onUpgrade?.(upgrade)
      } finally {
        setup.client.close()
      }
      const reader = openConnection(file, { readonly: true, busyTimeoutMs })
      const writer = new WriterThread({ path: file, busyTimeoutMs })
      return new SqliteStore({ file, busyTimeoutMs, reader, writer, lock })
    } catch (error) {
      lock.release()
      throw error
    }
  }

  async head(): Promise<HeadRow | undefined> {
    if (!this.#writer.isAlive) throw storageUnavailable('its writer has ended; restart the service')
    return await this.#reads.head()
  }

  stamp(): number | undefined {
    return translated(() => this.#dataVersion.get())
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    return await this.#reads.row(table, key)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    return await this.#reads.rows(table, page)
  }

  async now(): Promise<number> {
    return Date.now()
  }

  async versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<Stored<VersionRow>[]> {
    const found: Stored<VersionRow>[] = []
    for (const id of recipientIds) {
      const row = this.#byRecipientId.get({ recipientId: id })
      if (row !== undefined) found.push(row)
    }
    return found
  }

  async auditRuns(): Promise<string[]> {
    return translated(() =>
      this.#reader.db.selectDistinct({ run: auditEntries.run }).from(auditEntries).all(),
    ).map(({ run }) => run)
  }

  async auditEntries(run: string, page: Page<number>): Promise<AuditRow[]> {
    return await this.#reads.auditEntries(run, page)
  }

  async commit(commit: Commit): Promise<Outcome> {
    return await this.#writer.write(commit)
  }

  async forgetAuditEntries(run: string, page: { through: number; limit: number }): Promise<number> {
    return await this.#writer.forget({ run, ...page })
  }

  /** A transaction of its own, on a connection of its own, that reads what was there when it began. */
  async snapshot(): Promise<Snapshot> {
    const connection = openConnection(this.#file, { readonly: true, busyTimeoutMs: this.#busyTimeoutMs })
    try {
      const reads = new TableReads(connection)
      translated(() => connection.client.exec('BEGIN'))
      await reads.head()
      return {
        head: () => reads.head(),
        row: (table, key) => reads.row(table, key),
        rows: (table, page) => reads.rows(table, page),
        keyAfter: (table, after, rows) => reads.keyAfter(table, after, rows),
        beside: (macs) => openBeside({ path: this.#file, busyTimeoutMs: this.#busyTimeoutMs }, macs),
        auditEntries: (run, page) => reads.auditEntries(run, page),
        close: async () => void connection.client.close(),
      }
    } catch (error) {
      connection.client.close()
      throw error
    }
  }

  async fill(): Promise<Filling> {
    return beginFilling(this.#file, this.#busyTimeoutMs)
  }

  async close(): Promise<void> {
    // The writer last: whoever closes a database last folds its log (WAL) into it, and a reader may not.
    this.#reader.client.close()
    await this.#writer.close()
    this.#lock.release()
  }
}
