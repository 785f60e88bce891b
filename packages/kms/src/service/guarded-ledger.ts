/**
 * A ledger that is looked after: verified whole when it is opened and every minute, held against the anchor, and
 * frozen when it is not what this service wrote.
 */

import { AnchorKeeper, rollbackOf } from './anchor.ts'
import type { Anchor } from './anchor.ts'
import { ServiceError } from './errors.ts'
import { GrownRows } from './grown-rows.ts'
import type { HeadRow, KeyStore } from './key-store.ts'
import { Ledger } from './ledger.ts'
import type { RowMacs } from './row-mac.ts'
import { RowWatch } from './row-watch.ts'
import { verifyRows } from './verify-rows.ts'

/** After all rows were read, the large tables rest so many times as long: reading them takes a twentieth of one core. */
const restTimes = 19

export interface GuardOptions {
  readonly store: KeyStore
  /** Stay the caller's. */
  readonly macs: RowMacs
  /** Without one, a database that was put back whole is not noticed. */
  readonly anchor?: Anchor | undefined
  /** What to hold the database against where there is no anchor; default: then it is a rollback. */
  readonly join?: ((head: HeadRow) => Promise<ServiceError | undefined>) | undefined
  /** Default: every minute. */
  readonly verifyEveryMs?: number | undefined
  /** Told once why everything is refused from now on, and whenever the anchor could not be written. */
  readonly onFault?: ((fault: ServiceError) => void) | undefined
}

export class GuardedLedger {
  readonly ledger: Ledger
  readonly #options: GuardOptions
  readonly #keeper: AnchorKeeper | undefined
  readonly #watch: RowWatch
  readonly #grown = new GrownRows()
  readonly #ended = new AbortController()
  /** The tables that only grow are read again from then on, or as soon as something is doubted. */
  #wholeAfter = 0
  #isDoubted = false
  #fault: ServiceError | undefined
  /** The newest that this process has seen, whatever the anchor says. */
  #newest: HeadRow | undefined

  private constructor(options: GuardOptions) {
    const { store, macs, anchor, verifyEveryMs, onFault } = options
    this.#options = options
    this.#keeper = anchor && new AnchorKeeper(anchor, macs.clusterId, (error) => onFault?.(error))
    this.#watch = new RowWatch({
      verify: () => this.#verifyRows(),
      onViolation: (violation) => this.#freeze(violation),
      ...(verifyEveryMs === undefined ? {} : { everyMs: verifyEveryMs }),
    })
    this.ledger = new Ledger(store, macs, {
      onCommitted: (head, grown) => {
        this.#see(head)
        this.#grown.wrote(head.epoch, grown)
        this.#keeper?.committed(head)
      },
      onDoubt: () => {
        this.#isDoubted = true
        this.#watch.request()
      },
      onRollback: (fault) => this.#freeze(fault),
    })
  }

  /**
   * Frozen when rows are not what this service wrote (`integrity_violation`) or the database is older than its anchor
   * (`rollback_detected`).
   *
   * @throws ServiceError `storage_unavailable`, `bad_config` for an anchor that cannot be read.
   */
  static async open(options: GuardOptions): Promise<GuardedLedger> {
    const guarded = new GuardedLedger(options)
    try {
      await guarded.#begin()
      return guarded
    } catch (error) {
      await guarded.close()
      throw error
    }
  }

  /** Why everything is refused. */
  get fault(): ServiceError | undefined {
    return this.#fault
  }

  /**
   * Verifies all rows now.
   *
   * @throws ServiceError `integrity_violation` or `rollback_detected`, and the ledger is frozen; `storage_unavailable`.
   */
  async verify(): Promise<void> {
    this.#isDoubted = true
    try {
      await this.#verifyRows()
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'integrity_violation') this.#freeze(error)
      throw error
    }
  }

  /** Of one that is frozen: once it writes its anchor no more. */
  async settled(): Promise<void> {
    await this.#keeper?.settled()
  }

  /** Once the anchor is written. */
  async close(): Promise<void> {
    this.#ended.abort()
    await this.#watch.close()
    await this.#keeper?.close()
  }

  async #begin(): Promise<void> {
    const { store, macs, anchor, join } = this.#options
    try {
      const { head, grown } = await verifyRows(store, macs, { isAlone: true })
      this.#see(head)
      this.#grown.read(head.epoch, grown)
      if (anchor === undefined) return
      const anchored = await anchor.read()
      const rollback =
        anchored === undefined && join !== undefined
          ? await join(head)
          : rollbackOf(macs.clusterId, head, anchored, anchor.place)
      if (rollback === undefined) this.#keeper?.committed(head)
      else this.#freeze(rollback)
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== 'integrity_violation') throw error
      this.#freeze(error)
    }
  }

  /** Also finds a database that was put back whole, or replaced by one that went on elsewhere, while this process ran. */
  async #verifyRows(): Promise<void> {
    const { store, macs, anchor } = this.#options
    const { clusterId } = macs
    const before = this.#newest
    const begun = performance.now()
    const isWhole = this.#isDoubted || begun >= this.#wholeAfter
    this.#isDoubted = false
    const grownAt = (epoch: number) => (isWhole ? undefined : this.#grown.at(epoch))
    const { signal } = this.#ended
    const verified = await verifyRows(store, macs, { grownAt, signal }).catch((error: unknown) => {
      this.#isDoubted = true
      throw error
    })
    const { head, grown } = verified
    if (verified.isWhole) this.#wholeAfter = performance.now() + restTimes * (performance.now() - begun)
    this.#grown.read(head.epoch, grown)
    const known = before && { ...before, clusterId }
    const rollback = known && rollbackOf(clusterId, head, known, anchor?.place ?? 'this process')
    if (rollback !== undefined) {
      this.#freeze(rollback)
      throw rollback
    }
    this.#see(head)
  }

  #see(head: HeadRow): void {
    if (this.#newest === undefined || head.epoch > this.#newest.epoch) this.#newest = head
  }

  #freeze(fault: ServiceError): void {
    if (this.#fault !== undefined) return
    this.#fault = fault
    this.ledger.freeze(fault)
    this.#options.onFault?.(fault)
  }
}
