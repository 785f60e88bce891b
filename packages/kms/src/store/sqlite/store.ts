/** SQLite, embedded: reads on the calling thread (WAL), all writes through one writer in a thread of its own. */

import type { VersionState } from '@longhold/core/kms'
import { and, asc, eq, gt, inArray } from 'drizzle-orm'

import type {
  AuditAppend,
  AuditHead,
  AuditRow,
  ClusterRow,
  Initialization,
  KeyStore,
  KeySummary,
  NewKey,
  Outcome,
  OwnKeyRow,
  PageRequest,
  Rotation,
  SlotRow,
  StateChange,
  TokenRow,
  VersionRow,
} from '../../service/key-store.ts'
import { createPrivateFile, openConnection, storageUnavailable, translated } from './connection.ts'
import type { Connection } from './connection.ts'
import { prepareHotReads, selectSummaries } from './hot-reads.ts'
import type { HotReads } from './hot-reads.ts'
import { lockDatabase } from './lock.ts'
import { migrateDatabase } from './migrate.ts'
import { auditEntries, auditHeads, cluster, keys, ownKeys, slots, tokens, versions } from './schema.ts'
import { WriterThread } from './writer-thread.ts'

export interface SqliteStoreOptions {
  /** Made when it does not exist, readable by its owner only. */
  readonly path: string
  /** How long a write waits for a lock that another program holds. */
  readonly busyTimeoutMs?: number
}

export class SqliteStore implements KeyStore {
  readonly #reader: Connection
  readonly #hot: HotReads
  readonly #writer: WriterThread
  readonly #lock: { release(): void }

  private constructor(reader: Connection, writer: WriterThread, lock: { release(): void }) {
    this.#reader = reader
    this.#hot = translated(() => prepareHotReads(reader.db))
    this.#writer = writer
    this.#lock = lock
  }

  /**
   * Opens the database and brings it to this release's schema.
   *
   * @throws ServiceError `database_in_use`, `newer_database`, `bad_config`, `storage_unavailable`.
   */
  static open({ path, busyTimeoutMs = 2000 }: SqliteStoreOptions): SqliteStore {
    const file = createPrivateFile(path)
    const lock = lockDatabase(file)
    try {
      const setup = openConnection(file, { readonly: false, busyTimeoutMs })
      try {
        migrateDatabase(setup, path)
      } finally {
        setup.client.close()
      }
      const reader = openConnection(file, { readonly: true, busyTimeoutMs })
      return new SqliteStore(reader, new WriterThread({ path: file, busyTimeoutMs }), lock)
    } catch (error) {
      lock.release()
      throw error
    }
  }

  async cluster(): Promise<ClusterRow | undefined> {
    if (!this.#writer.isAlive) throw storageUnavailable('its writer has ended; restart the service')
    const row = this.#read((db) => db.select().from(cluster).get())
    if (row === undefined) return undefined
    const { clusterId, rootVersion, createdAt } = row
    return { clusterId: plain(clusterId), rootVersion, createdAt }
  }

  async slots(): Promise<SlotRow[]> {
    return this.#read((db) => db.select().from(slots).all()).map((row) => ({
      ...row,
      sealedRoot: plain(row.sealedRoot),
    }))
  }

  async ownKeys(): Promise<OwnKeyRow[]> {
    return this.#read((db) => db.select().from(ownKeys).all()).map((row) => ({
      ...row,
      sealed: plain(row.sealed),
    }))
  }

  async key(key: string): Promise<KeySummary | undefined> {
    return translated(() => this.#hot.key.get({ key }))
  }

  async keys({ after, limit }: PageRequest<string>): Promise<KeySummary[]> {
    return this.#read((db) =>
      selectSummaries(db)
        .where(after === undefined ? undefined : gt(keys.key, after))
        .orderBy(asc(keys.key))
        .limit(limit)
        .all(),
    )
  }

  async version(key: string, version: number): Promise<VersionRow | undefined> {
    const row = translated(() => this.#hot.version.get({ key, version }))
    return row && versionRow(row)
  }

  async versions(key: string, { after, limit }: PageRequest<number>): Promise<VersionRow[]> {
    const where = and(eq(versions.key, key), after === undefined ? undefined : gt(versions.version, after))
    return this.#read((db) =>
      db.select().from(versions).where(where).orderBy(asc(versions.version)).limit(limit).all(),
    ).map(versionRow)
  }

  async versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<VersionRow[]> {
    const found: VersionRow[] = []
    for (const id of recipientIds) {
      const row = translated(() => this.#hot.versionByRecipientId.get({ recipientId: Buffer.from(id) }))
      if (row !== undefined) found.push(versionRow(row))
    }
    return found
  }

  async recipientIds(key: string, states: readonly VersionState[]): Promise<Uint8Array[]> {
    const where = and(eq(versions.key, key), inArray(versions.state, [...states]))
    return this.#read((db) =>
      db
        .select({ recipientId: versions.recipientId })
        .from(versions)
        .where(where)
        .orderBy(asc(versions.version))
        .all(),
    ).map(({ recipientId }) => plain(recipientId))
  }

  async token(token: string): Promise<TokenRow | undefined> {
    const row = translated(() => this.#hot.token.get({ token }))
    return row && { ...row, mac: plain(row.mac) }
  }

  async tokens({ after, limit }: PageRequest<string>): Promise<TokenRow[]> {
    return this.#read((db) =>
      db
        .select()
        .from(tokens)
        .where(after === undefined ? undefined : gt(tokens.token, after))
        .orderBy(asc(tokens.token))
        .limit(limit)
        .all(),
    ).map((row) => ({ ...row, mac: plain(row.mac) }))
  }

  async auditHead(run: string): Promise<AuditHead | undefined> {
    const row = this.#read((db) => db.select().from(auditHeads).where(eq(auditHeads.run, run)).get())
    return row && auditHead(row)
  }

  async auditHeads(): Promise<AuditHead[]> {
    return this.#read((db) => db.select().from(auditHeads).orderBy(asc(auditHeads.ordinal)).all()).map(
      auditHead,
    )
  }

  async auditRuns(): Promise<string[]> {
    return this.#read((db) => db.selectDistinct({ run: auditEntries.run }).from(auditEntries).all()).map(
      ({ run }) => run,
    )
  }

  async auditEntries(run: string, { after, limit }: PageRequest<number>): Promise<AuditRow[]> {
    const where = and(
      eq(auditEntries.run, run),
      after === undefined ? undefined : gt(auditEntries.seq, after),
    )
    return this.#read((db) =>
      db.select().from(auditEntries).where(where).orderBy(asc(auditEntries.seq)).limit(limit).all(),
    ).map((row) => ({ ...row, mac: plain(row.mac) }))
  }

  async initialize(initialization: Initialization, audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('initialize', initialization, audit)
  }

  async createKey(created: NewKey, audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('createKey', created, audit)
  }

  async rotate(rotation: Rotation, audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('rotate', rotation, audit)
  }

  async changeState(change: StateChange, audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('changeState', change, audit)
  }

  async createToken(token: TokenRow, audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('createToken', token, audit)
  }

  async revokeToken(token: string, at: number, audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('revokeToken', { token, at }, audit)
  }

  async append(audit: AuditAppend): Promise<Outcome> {
    return await this.#writer.write('append', undefined, audit)
  }

  async close(): Promise<void> {
    // The writer last: whoever closes a database last folds its log (WAL) into it, and a reader may not.
    this.#reader.client.close()
    await this.#writer.close()
    this.#lock.release()
  }

  #read<T>(query: (db: Connection['db']) => T): T {
    return translated(() => query(this.#reader.db))
  }
}

function versionRow(row: typeof versions.$inferSelect): VersionRow {
  return {
    ...row,
    publicKey: plain(row.publicKey),
    recipientId: plain(row.recipientId),
    sealedSeed: plain(row.sealedSeed),
  }
}

function auditHead(row: typeof auditHeads.$inferSelect): AuditHead {
  const { run, seq, mac, headMac, chainKeyVersion, startedAt } = row
  return { run, seq, mac: plain(mac), headMac: plain(headMac), chainKeyVersion, startedAt }
}

/** Bytes of their own: the driver's Buffers may share memory. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
