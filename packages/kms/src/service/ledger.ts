/**
 * Rows that vouch for themselves. What is read through here has had its MAC checked; what is written gets one, and the
 * cluster head moves with it in the same transaction.
 */

import { toHex } from '@longhold/core'

import { putBack } from './anchor.ts'
import type { AuditAppend } from './audit-chain.ts'
import type { Change } from './changes.ts'
import { HeadChange, openHead, sealHead } from './cluster-head.ts'
import type { ClusterHead } from './cluster-head.ts'
import { integrityViolation, ServiceError } from './errors.ts'
import { FreshRows } from './fresh-rows.ts'
import { growingTables } from './grown-rows.ts'
import type {
  Commit,
  HeadRow,
  KeyStore,
  Outcome,
  RowPage,
  RowReads,
  RowTotal,
  RowWrite,
} from './key-store.ts'
import type { RowMacs } from './row-mac.ts'
import { keyColumnsOf } from './rows.ts'
import type { KeyOf, Rows, Stored, TableName, VersionRow } from './rows.ts'
import { checkRow, VerifiedRows } from './verified-rows.ts'

const maxAttempts = 20

export interface LedgerEvents {
  /** This process committed a head; what it added to the tables that only grow. */
  readonly onCommitted?: (head: HeadRow, grown: RowTotal) => void
  /** Somebody else wrote, or a row was not what this service wrote: all rows are to be verified. */
  readonly onDoubt?: () => void
  /** The database is older than this process has seen it. */
  readonly onRollback?: (fault: ServiceError) => void
}

/** What becomes of a write: see `Outcome`. */
export type LedgerOutcome = Exclude<Outcome, 'head_moved'>

export interface CommitOptions {
  readonly aboveEpoch?: number
  readonly check?: (() => Promise<void>) | undefined
}

export class Ledger implements RowReads {
  readonly #store: KeyStore
  readonly #macs: RowMacs
  readonly #verified: VerifiedRows
  readonly #fresh: FreshRows
  readonly #events: LedgerEvents
  #fault: ServiceError | undefined
  /** As this process knows it; another may have moved it. */
  #head: ClusterHead | undefined
  /** The highest that this process knows to be committed. */
  #highestEpoch = 0

  /** @param macs Stay the caller's. */
  constructor(store: KeyStore, macs: RowMacs, events: LedgerEvents = {}) {
    this.#store = store
    this.#macs = macs
    this.#verified = new VerifiedRows(macs)
    this.#fresh = new FreshRows(store)
    this.#events = events
  }

  /** The highest that this process knows to be committed; 0: it has seen none. */
  get highestEpoch(): number {
    return this.#highestEpoch
  }

  /** Nothing is read or written through here any more: every call throws `fault`. The first one stays. */
  freeze(fault: ServiceError): void {
    this.#fault ??= fault
  }

  /** @throws ServiceError the one it was frozen with. */
  requireSound(): void {
    if (this.#fault !== undefined) throw this.#fault
  }

  /** For a request that begins: what it reads in this turn of the event loop is at least as new as now. */
  look(): void {
    this.#fresh.look()
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    this.requireSound()
    return await this.#fresh.get(nameOf(table, key), async () => {
      const row = await this.#store.row(table, key)
      return row && this.#checked(() => this.#verified.check(table, row))
    })
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    this.requireSound()
    const rows = await this.#store.rows(table, page)
    this.#checked(() => {
      for (const row of rows) checkRow(this.#macs, table, row)
    })
    return rows
  }

  async versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<Stored<VersionRow>[]> {
    this.requireSound()
    const [id, ...others] = recipientIds
    if (id === undefined || others.length > 0) return await this.#versionsOf(recipientIds)
    const one = await this.#fresh.get(`recipient ${toHex(id)}`, async () => (await this.#versionsOf([id]))[0])
    return one === undefined ? [] : [one]
  }

  async #versionsOf(recipientIds: readonly Uint8Array[]): Promise<Stored<VersionRow>[]> {
    const rows = await this.#store.versionsByRecipientId(recipientIds)
    this.#checked(() => {
      for (const row of rows) this.#verified.check('versions', row)
    })
    return rows
  }

  /** @throws ServiceError `storage_unavailable`, `integrity_violation`. */
  async head(): Promise<ClusterHead> {
    const row = await this.#store.head()
    if (row === undefined) throw integrityViolation('the database, without a cluster head,')
    return openHead(this.#macs, row)
  }

  /** As it is stored, once it was checked. Throws as `head` does. */
  async sealedHead(): Promise<HeadRow> {
    const row = await this.#store.head()
    if (row === undefined) throw integrityViolation('the database, without a cluster head,')
    openHead(this.#macs, row)
    return row
  }

  /**
   * Makes all changes and appends the entries, or does nothing.
   *
   * @param options `aboveEpoch`: the new head's epoch is above this one too. `check`: throws where something is not so
   * that has to be, at the moment of the transaction: whatever is written meanwhile, it is asked again.
   * @throws ServiceError `storage_unavailable`, after which only the store knows what was done; `integrity_violation`
   * when a row to be changed is not what this service wrote.
   */
  async commit(
    changes: readonly Change[],
    audit: AuditAppend,
    { aboveEpoch = 0, check }: CommitOptions = {},
  ): Promise<LedgerOutcome> {
    const { change, grown, ...planned } = this.#checked(() => plan(this.#macs, changes, audit))
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      this.requireSound()
      const before = (this.#head ??= await this.#headToday())
      // What is written after it was read moves the head, and then this commit is refused.
      await check?.()
      const after = change.applyTo(before, Math.max(before.epoch, aboveEpoch) + 1)
      const commit = { ...planned, head: sealHead(this.#macs, after), expectedEpoch: before.epoch }
      this.#head = undefined
      const outcome = await this.#store.commit(commit)
      this.#fresh.written()
      if (outcome === 'head_moved') {
        this.#events.onDoubt?.()
        continue
      }
      this.#head = outcome === 'done' ? after : before
      if (outcome === 'done') {
        this.#highestEpoch = Math.max(this.#highestEpoch, after.epoch)
        this.#events.onCommitted?.(commit.head, grown.total)
      }
      return outcome
    }
    throw new ServiceError('storage_unavailable', 'other writers were faster every time', {
      hint: 'try again',
    })
  }

  /** Never an older one than before: the next commit would make the rollback the truth, and move the anchor after it. */
  async #headToday(): Promise<ClusterHead> {
    const highest = this.#highestEpoch
    const head = await this.head()
    if (head.epoch < highest) {
      const fault = putBack(head.epoch, highest)
      this.#events.onRollback?.(fault)
      throw fault
    }
    this.#highestEpoch = Math.max(this.#highestEpoch, head.epoch)
    return head
  }

  /** Whether the rows are as the changes expect; nothing is written. What is unique in a database shows only there. */
  async check(changes: readonly Change[]): Promise<'done' | 'conflict'> {
    for (const { table, before, after } of changes) {
      // Whichever there is holds the key; TypeScript does not follow the table through a union.
      const row = await this.row(table, (before ?? after) as never)
      if (row?.generation !== before?.generation) return 'conflict'
    }
    return 'done'
  }

  /** One row that is wrong may not be the only one. */
  #checked<T>(check: () => T): T {
    try {
      return check()
    } catch (error) {
      this.#events.onDoubt?.()
      throw error
    }
  }
}

/** Of keys that are text and numbers; others are not read with every request. */
function nameOf(table: TableName, key: object): string | undefined {
  let name: string = table
  for (const column of keyColumnsOf(table)) {
    const value: unknown = (key as Readonly<Record<string, unknown>>)[column]
    if (typeof value !== 'string' && typeof value !== 'number') return undefined
    name += `/${value}`
  }
  return name
}

/** The first write to an empty store. */
export function firstCommit(macs: RowMacs, changes: readonly Change[], audit: AuditAppend): Commit {
  const { change, grown: _, ...planned } = plan(macs, changes, audit)
  return { ...planned, head: sealHead(macs, change.applyTo(undefined)), expectedEpoch: null }
}

/** The rows to write with their MACs, and what they do to the head. */
function plan(
  macs: RowMacs,
  changes: readonly Change[],
  { entries, before, head }: AuditAppend,
): Pick<Commit, 'writes' | 'audit'> & { change: HeadChange; grown: HeadChange } {
  const [change, grown] = [new HeadChange(), new HeadChange()]
  const writes = changes.map((one) => {
    return planRow(macs, growingTables.includes(one.table) ? grown : change, one)
  })
  change.addTotal(grown.total)
  if (before !== undefined) change.subtract(macs.tag('audit_heads', before.seq, before).addend)
  const { mac, addend } = macs.tag('audit_heads', head.seq, head)
  change.add(addend)
  const audit = {
    entries,
    head: { ...head, generation: head.seq, mac },
    expectedSeq: before?.seq ?? null,
  }
  return { change, grown, writes, audit }
}

function planRow(macs: RowMacs, change: HeadChange, { table, before, after }: Change): RowWrite {
  if (before !== undefined) change.subtract(checkRow(macs, table, before).addend)
  const expected = before?.generation ?? null
  // `table` says of which kind the rows are; TypeScript does not follow that through a union.
  if (after === undefined) return { table, removed: before, expected } as RowWrite
  const generation = (expected ?? 0) + 1
  const { mac, addend } = macs.tag(table, generation, after)
  change.add(addend)
  return { table, row: { ...after, generation, mac }, expected } as RowWrite
}
