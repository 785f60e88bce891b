/** Rows for tests of stores: of the right shape, sealed by nobody, with MACs that are random. */

import { randomBytes } from 'node:crypto'

import type { AuditRow, Commit, KeyStore, Outcome, RowWrite } from '../../src/service/key-store.ts'
import { everyRow } from '../../src/service/key-store.ts'
import { tableNames } from '../../src/service/rows.ts'
import type {
  AuditHeadRow,
  KeyOf,
  KeyRow,
  Rows,
  Stored,
  TableName,
  TokenRow,
  VersionRow,
} from '../../src/service/rows.ts'

const bytes = (length: number) => new Uint8Array(randomBytes(length))

export function stored<R>(row: R, generation = 1): Stored<R> {
  return { ...row, generation, mac: bytes(32) }
}

export function keyRow(key: string, changes: Partial<KeyRow> = {}): KeyRow {
  return {
    key,
    purpose: 'wrap',
    kemId: 0x647a,
    enabled: true,
    latestVersion: 1,
    primaryVersion: 1,
    minUnwrapVersion: 1,
    rewrapTo: [],
    labels: {},
    destroyAfterMs: 1000,
    exportable: false,
    exportedAt: null,
    imported: false,
    issuedOnly: false,
    createdAt: 1000,
    rotatedAt: null,
    ...changes,
  }
}

export function versionRow(key: string, version: number, changes: Partial<VersionRow> = {}): VersionRow {
  return {
    key,
    version,
    state: 'primary',
    kemId: 0x647a,
    publicKey: bytes(1216),
    recipientId: bytes(16),
    rootVersion: 1,
    sealedSeed: bytes(60),
    createdAt: 1000 + version,
    stateChangedAt: 1000 + version,
    compromisedAt: null,
    destroyAt: null,
    ...changes,
  }
}

export function tokenRow(token: string, changes: Partial<TokenRow> = {}): TokenRow {
  return {
    token,
    name: 'a token',
    secretMac: bytes(32),
    pepperVersion: 1,
    principal: null,
    permissions: ['unwrap', 'wrap'],
    keys: null,
    createdAt: 1000,
    expiresAt: null,
    revokedAt: null,
    createdBy: null,
    ...changes,
  }
}

/** A new row, of generation 1. */
export function inserted<T extends TableName>(table: T, row: Rows[T]): RowWrite & { row: Stored<Rows[T]> } {
  // `table` says of which kind the row is.
  return { table, row: stored(row), expected: null } as unknown as RowWrite & { row: Stored<Rows[T]> }
}

/** The row in its next generation. */
export function updated<T extends TableName>(table: T, row: Rows[T], expected: number): RowWrite {
  return { table, row: stored(row, expected + 1), expected } as unknown as RowWrite
}

export function removed<T extends TableName>(table: T, key: KeyOf<T>, expected: number): RowWrite {
  return { table, removed: key, expected } as unknown as RowWrite
}

/** A key and its first version. */
export function newKey(key: string, changes: Partial<KeyRow> = {}) {
  return [inserted('keys', keyRow(key, changes)), inserted('versions', versionRow(key, 1))] as const
}

export interface Expectations {
  /** How many entries. */
  readonly entries?: number
  readonly expectedEpoch?: number | null
  readonly expectedSeq?: number | null
  /** The number of the first entry. */
  readonly firstSeq?: number
}

/** Writes to a store as a service does, one chain, one epoch after the other. */
export class TestWriter {
  readonly run: string
  readonly #store: KeyStore
  readonly #ordinal: number
  #epoch: number | null = null
  #seq: number | null = null

  constructor(store: KeyStore, run = 'a'.repeat(32), ordinal = 1) {
    this.#store = store
    this.run = run
    this.#ordinal = ordinal
  }

  /** What `write` would write. */
  next(writes: readonly RowWrite[], expectations: Expectations = {}): Commit {
    const { entries: count = 1, expectedEpoch = this.#epoch, expectedSeq = this.#seq } = expectations
    const { firstSeq = (expectedSeq ?? 0) + 1 } = expectations
    const entries: AuditRow[] = Array.from({ length: count }, (_, index) => ({
      run: this.run,
      seq: firstSeq + index,
      body: JSON.stringify({ n: firstSeq + index }),
      mac: bytes(32),
    }))
    const last = entries.at(-1)
    const head: AuditHeadRow = {
      run: this.run,
      ordinal: this.#ordinal,
      seq: last?.seq ?? 0,
      lastMac: last?.mac ?? bytes(32),
      headMac: bytes(32),
      chainKeyVersion: 1,
      startedAt: 1000,
    }
    const epoch = (expectedEpoch ?? 0) + 1
    return {
      writes,
      audit: { entries, head: stored(head, head.seq), expectedSeq },
      head: { epoch, rowCount: 3, maskedSum: bytes(32), mac: bytes(32) },
      expectedEpoch,
    }
  }

  async write(writes: readonly RowWrite[] = [], expectations: Expectations = {}): Promise<Outcome> {
    const commit = this.next(writes, expectations)
    const outcome = await this.#store.commit(commit)
    if (outcome === 'done') this.accept(commit)
    return outcome
  }

  /** As if it had written this. */
  accept({ head, audit }: Pick<Commit, 'head' | 'audit'>): void {
    this.#epoch = head.epoch
    this.#seq = audit.head.seq
  }
}

/** All there is in a store. */
export async function contentsOf(store: KeyStore): Promise<unknown> {
  const runs = (await store.auditRuns()).toSorted()
  return {
    head: await store.head(),
    tables: await Promise.all(tableNames.map((table) => everyRow(store, table))),
    entries: await Promise.all(runs.map((run) => store.auditEntries(run, { limit: 1000 }))),
  }
}
