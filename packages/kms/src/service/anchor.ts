/**
 * The anchor: the newest cluster head this node knows, kept outside the database. A database that is older than it, or
 * of the same age and another, was put back to what it once was.
 */

import { equalBytes } from '@longhold/core'

import { ServiceError } from './errors.ts'
import type { HeadRow } from './key-store.ts'

/** A head, without what it vouches for. */
export interface AnchoredHead {
  /** 16 bytes. */
  readonly clusterId: Uint8Array
  readonly epoch: number
  readonly rowCount: number
  /** 32 bytes. */
  readonly mac: Uint8Array
}

/** Where it is kept. */
export interface Anchor {
  /** For people. */
  readonly place: string
  /** @throws ServiceError `bad_config` when it is there and cannot be read. */
  read(): Promise<AnchoredHead | undefined>
  /**
   * In place of the one before, whole or not at all.
   *
   * @throws ServiceError `storage_unavailable`.
   */
  write(head: AnchoredHead): Promise<void>
}

/** @returns ServiceError `rollback_detected`; undefined when the database is not older than the anchor. */
export function rollbackOf(
  clusterId: Uint8Array,
  head: HeadRow,
  anchor: AnchoredHead | undefined,
  place: string,
): ServiceError | undefined {
  if (anchor === undefined) {
    return rollback(`there is no anchor at ${place}, and the database is at epoch ${head.epoch}`)
  }
  if (!equalBytes(anchor.clusterId, clusterId)) {
    return rollback(`the anchor at ${place} is that of another cluster`)
  }
  if (head.epoch < anchor.epoch) {
    return putBack(head.epoch, anchor.epoch)
  }
  if (head.epoch === anchor.epoch && !equalBytes(head.mac, anchor.mac)) {
    return rollback(`the database is at epoch ${head.epoch}, and was another at the same epoch before`)
  }
  return undefined
}

/** @returns ServiceError `rollback_detected`. */
export function putBack(epoch: number, before: number): ServiceError {
  return rollback(`the database is at epoch ${epoch}, and was at ${before} before`)
}

/** @returns ServiceError `rollback_detected`. */
export function rollback(what: string): ServiceError {
  return new ServiceError('rollback_detected', what, {
    hint: 'restore the newest database; or accept this one: longhold kms accept-rollback',
  })
}

/** Two writes of it are so far apart. */
const minGapMs = 200

/** Writes the anchor after commits, the newest alone, one write at a time. */
export class AnchorKeeper {
  readonly #anchor: Anchor
  readonly #clusterId: Uint8Array
  readonly #onFailure: (error: ServiceError) => void
  #newest: HeadRow | undefined
  #writing: Promise<void> | undefined
  #wake: (() => void) | undefined
  #isClosing = false

  constructor(anchor: Anchor, clusterId: Uint8Array, onFailure: (error: ServiceError) => void) {
    this.#anchor = anchor
    this.#clusterId = clusterId
    this.#onFailure = onFailure
  }

  /** A head that is committed. */
  committed(head: HeadRow): void {
    if (this.#newest !== undefined && this.#newest.epoch > head.epoch) return
    this.#newest = head
    this.#writing ??= this.#write()
  }

  /** Once nothing is left to write: what is written elsewhere afterwards stays. */
  async settled(): Promise<void> {
    await this.#writing
  }

  /** Once the newest is written. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#wake?.()
    await this.#writing
  }

  async #write(): Promise<void> {
    for (let head = this.#newest; head !== undefined; head = this.#newest) {
      this.#newest = undefined
      const { epoch, rowCount, mac } = head
      try {
        await this.#anchor.write({ clusterId: this.#clusterId, epoch, rowCount, mac })
      } catch (error) {
        // It is behind, which is safe, until the next commit. Said, since it must not stay so.
        if (error instanceof ServiceError) this.#onFailure(error)
        else throw error
      }
      await this.#pause()
    }
    this.#writing = undefined
  }

  #pause(): Promise<void> {
    if (this.#isClosing) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, minGapMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
