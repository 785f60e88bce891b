/**
 * What the service asks of storage. A write is one whole operation: it names the state it expects, changes everything
 * or nothing, and carries its audit entries and the new cluster head into the same transaction. Stores know nothing of
 * MACs: `ledger.ts` stands between them and the rest of the service. One contract suite
 * (`test/contracts/key-store.ts`) runs on every implementation.
 */

import type { RowMacs } from './row-mac.ts'
import type { KeyOf, Rows, Stored, TableName, VersionRow } from './rows.ts'

/** One entry of a chain of the audit log. */
export interface AuditRow {
  /** 32 hexadecimal digits: one chain for each run of the service. */
  readonly run: string
  /** 1, 2, 3, … */
  readonly seq: number
  /** JSON. */
  readonly body: string
  readonly mac: Uint8Array
}

/** What vouches for all rows together (`cluster-head.ts`). */
export interface HeadRow {
  /** 1, 2, 3, …: one more with every write. */
  readonly epoch: number
  readonly rowCount: number
  /** 32 bytes. */
  readonly maskedSum: Uint8Array
  /** 32 bytes. */
  readonly mac: Uint8Array
}

/** A row to be written, whole, or a key to be removed; and the generation that must be there (null: no such row). */
export type RowWrite = {
  [T in TableName]:
    | { readonly table: T; readonly row: Stored<Rows[T]>; readonly expected: number | null }
    | { readonly table: T; readonly removed: KeyOf<T>; readonly expected: number }
}[TableName]

/** One transaction. */
export interface Commit {
  /** In this order. */
  readonly writes: readonly RowWrite[]
  /** Appended to the end of one chain, which `writes` does not move. */
  readonly audit: {
    readonly entries: readonly AuditRow[]
    readonly head: Stored<Rows['audit_heads']>
    /** Where the chain must end before; null: it begins. */
    readonly expectedSeq: number | null
  }
  readonly head: HeadRow
  /** Of the head that must be there; null: an empty store. */
  readonly expectedEpoch: number | null
}

/**
 * Not `done`: nothing was written. `conflict`: a row was not in the expected state, or something unique is there
 * already; `chain_moved`: the audit chain does not end where expected; `head_moved`: another epoch.
 */
export type Outcome = 'done' | 'conflict' | 'chain_moved' | 'head_moved'

export interface Page<K> {
  /** The last one of the page before. */
  readonly after?: K | undefined
  readonly limit: number
}

export interface RowPage<T extends TableName> extends Page<KeyOf<T>> {
  /** Only rows that have these values: one or more columns of the key, from its first. */
  readonly within?: Partial<KeyOf<T>> | undefined
}

/** Rows come back as they were written; nothing returned is shared with the store. */
export interface RowReads {
  row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined>
  /** In the order of their keys; texts by their bytes. */
  rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]>
}

/** Everything as it was at one moment. Bytes of its rows are to be read only. */
export interface Snapshot extends RowReads {
  head(): Promise<HeadRow | undefined>
  /** Ascending. */
  auditEntries(run: string, page: Page<number>): Promise<AuditRow[]>
  close(): Promise<void>
  /** The key of the row that comes so many rows after one; undefined where there are not so many. */
  keyAfter?<T extends TableName>(
    table: T,
    after: KeyOf<T> | undefined,
    rows: number,
  ): Promise<KeyOf<T> | undefined>
  /** Somebody who reads the same database in a thread of its own; where there is none, nobody does. */
  beside?: (macs: RowMacs) => Promise<BesideReader>
}

/** So many rows, and the sum of what counts of each in the cluster head: eight words, the highest first. */
export interface RowTotal {
  readonly rows: number
  readonly sum: Uint32Array
}

/** Rows of one table in the order of their keys. */
export interface RowSpan {
  readonly table: TableName
  /** The key of the last row before them; undefined: from the first one. */
  readonly after: object | undefined
  /** How many; undefined: all that come. */
  readonly count: number | undefined
}

/** Reads rows in a thread of its own, as they were when it began, to add them up. */
export interface BesideReader {
  readonly head: HeadRow
  /** As `sumSpan`. Throws as it does. */
  sum(span: RowSpan): Promise<RowTotal>
  close(): Promise<void>
}

/** Writes an empty store from end to end, all or nothing: nothing of it is there before `finish`. */
export interface Filling {
  /** In any order; each row once. */
  rows<T extends TableName>(table: T, rows: readonly Stored<Rows[T]>[]): Promise<void>
  entries(entries: readonly AuditRow[]): Promise<void>
  finish(head: HeadRow): Promise<void>
  /** Without `finish` before it, nothing was written. */
  close(): Promise<void>
}

/**
 * Every method throws ServiceError `storage_unavailable` when the storage is locked, full or broken: then nothing was
 * written, unless its message says otherwise. Driver errors and their texts stay inside.
 */
export interface KeyStore extends RowReads {
  /** Throws too when no more can be written. */
  head(): Promise<HeadRow | undefined>
  /**
   * Another number whenever anybody has changed anything in the database; undefined where asking costs as much as reading.
   */
  stamp(): number | undefined
  /** Milliseconds since 1970, by the clock of the database. */
  now(): Promise<number>
  /** Those that exist, in any order. */
  versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<Stored<VersionRow>[]>
  /** Every run that has an entry, whether or not it has a head. */
  auditRuns(): Promise<string[]>
  /** Ascending. */
  auditEntries(run: string, page: Page<number>): Promise<AuditRow[]>

  commit(commit: Commit): Promise<Outcome>

  /**
   * Deletes entries of a chain from its beginning to `through`, the oldest `limit` of them. No row changes: whether they
   * may go is for whoever calls.
   *
   * @returns How many there were.
   */
  forgetAuditEntries(run: string, page: { readonly through: number; readonly limit: number }): Promise<number>

  snapshot(): Promise<Snapshot>
  /** @throws ServiceError `already_initialised` where anything is in the store. */
  fill(): Promise<Filling>
  /** Waits for the writes in flight. */
  close(): Promise<void>
}

/** Few enough that whoever waits for an answer does not notice that rows are verified meanwhile. */
export const pageRows = 200

/** All rows of a table, a page at a time. */
export async function* allRows<T extends TableName>(
  reads: RowReads,
  table: T,
  within?: Partial<KeyOf<T>>,
): AsyncGenerator<Stored<Rows[T]>[]> {
  let after: KeyOf<T> | undefined
  for (;;) {
    const page = await reads.rows(table, { within, after, limit: pageRows })
    if (page.length > 0) yield page
    if (page.length < pageRows) return
    after = page.at(-1)
  }
}

/** All rows of a table that has few. */
export async function everyRow<T extends TableName>(
  reads: RowReads,
  table: T,
  within?: Partial<KeyOf<T>>,
): Promise<Stored<Rows[T]>[]> {
  const rows: Stored<Rows[T]>[] = []
  for await (const page of allRows(reads, table, within)) rows.push(...page)
  return rows
}
