/**
 * Replaces the root key. The new one is first kept in every slot and read back, then every sealed row is sealed anew
 * under it, in batches, and when no row uses the old one that leaves the slots. Each step is one commit that says
 * where it stands, so it goes on after an end at any point; nothing is ever sealed only under a root that no slot holds.
 */

import { randomBytes } from 'node:crypto'

import { equalBytes, Secret } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import { update } from './changes.ts'
import type { Change } from './changes.ts'
import { integrityViolation, ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import { sealedTables } from './sealed-tables.ts'
import { isOwnWrap, rootBytes, wrapRoot } from './slot-secret.ts'
import { readCluster, readSlots, slotKeys } from './slots.ts'

export interface RootRotationOptions {
  readonly reads: RowReads
  readonly root: Root
  readonly audit: AuditLog
}

export interface RotationState {
  readonly rootVersion: number
  /** Null: none is under way. */
  readonly nextRootVersion: number | null
  /** Rows that an older root still seals. */
  readonly rowsLeft: number
}

const batchRows = 100
const maxAttempts = 5

export class RootRotation {
  readonly #options: RootRotationOptions
  #running: Promise<void> | undefined
  /** Of a run that nobody waited for. */
  #failure: ServiceError | undefined
  #isClosed = false

  constructor(options: RootRotationOptions) {
    this.#options = options
  }

  /** @throws ServiceError what stopped a run in the background; `run` goes on with it. */
  async state(): Promise<RotationState> {
    const { reads } = this.#options
    if (this.#failure !== undefined) throw this.#failure
    const { rootVersion, nextRootVersion } = await readCluster(reads)
    const rowsLeft = nextRootVersion === null ? 0 : await this.#count(nextRootVersion)
    return { rootVersion, nextRootVersion, rowsLeft }
  }

  /**
   * Makes the next root and keeps it in every slot. Where one is there already, nothing is done: `run` goes on with it.
   *
   * @throws ServiceError `invalid_state` when the slots changed meanwhile; `integrity_violation` when what was read
   * back is not what was written.
   */
  async begin(caller: Caller): Promise<void> {
    const { reads, root, audit } = this.#options
    const cluster = await readCluster(reads)
    if (cluster.nextRootVersion !== null) return
    const slots = await readSlots(reads)
    const nextRootVersion = cluster.rootVersion + 1
    const secret = Secret.take(new Uint8Array(randomBytes(rootBytes)))
    let isKept = false
    try {
      const changes: Change[] = [update('cluster', cluster, { nextRootVersion })]
      for (const row of slots) {
        const keys = slotKeys(root, row)
        try {
          const nextRoot = await wrapRoot(
            secret,
            { clusterId: root.clusterId, ...row },
            nextRootVersion,
            keys,
          )
          changes.push(update('slots', row, { nextRoot }))
        } finally {
          keys.authKey.wipe()
        }
      }
      const event = { action: 'root.rotate' as const, caller, rootVersion: nextRootVersion }
      const outcome = await audit.commit(event, changes)
      if (caller.isDryRun === true) return
      if (outcome === 'conflict') {
        throw new ServiceError('invalid_state', 'the slots changed in the meantime', { hint: 'try again' })
      }
      await this.#readBack(changes, nextRootVersion)
      // From here on everything new is sealed under it.
      root.add(nextRootVersion, secret)
      isKept = true
    } finally {
      if (!isKept) secret.wipe()
    }
  }

  /** Seals anew what is left, and retires the old root. Does nothing where no rotation is under way. */
  async run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  /** The same without waiting; `state` says what stopped it. */
  runInBackground(): void {
    this.#failure = undefined
    this.run().catch((error: unknown) => {
      this.#failure =
        error instanceof ServiceError ? error : new ServiceError('internal', 'the rotation stopped')
    })
  }

  /** Stops after the batch under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#running?.catch(() => undefined)
  }

  async #run(): Promise<void> {
    const { reads, root, audit } = this.#options
    const { nextRootVersion } = await readCluster(reads)
    if (nextRootVersion === null) return
    if (!root.has(nextRootVersion)) {
      throw new ServiceError(
        'invalid_state',
        'the next root key is in the slots, and not yet in this process',
        {
          hint: 'seal the service and unseal it, or start it anew: it goes on by itself',
        },
      )
    }
    // An entry of its own: whatever was sealed under the old root before is written by the time it is.
    await audit.record({ action: 'root.reseal', rootVersion: nextRootVersion })
    do {
      for (const { old } of sealedTables) {
        for await (const page of old(reads, nextRootVersion)) {
          for (let at = 0; at < page.length && !this.#isClosed; at += batchRows) {
            const changes = page.slice(at, at + batchRows).map((reseal) => reseal(root))
            const event = {
              action: 'root.reseal' as const,
              rootVersion: nextRootVersion,
              rows: changes.length,
            }
            // In conflict: a row was changed meanwhile. The count finds it, and the next round seals it.
            await audit.commit(event, changes)
          }
        }
      }
      if (this.#isClosed) return
    } while ((await this.#count(nextRootVersion)) > 0)
    await this.#finish()
  }

  /** Rows that a root before `version` seals. */
  async #count(version: number): Promise<number> {
    let count = 0
    for (const { old } of sealedTables) {
      for await (const page of old(this.#options.reads, version)) count += page.length
    }
    return count
  }

  async #finish(): Promise<void> {
    const { reads, root, audit } = this.#options
    for (let attempts = 0; attempts < maxAttempts; attempts++) {
      const cluster = await readCluster(reads)
      const { rootVersion: old, nextRootVersion: next } = cluster
      if (next === null) return
      const slots = await readSlots(reads)
      const changes = slots.map((row) => {
        if (row.nextRoot === null) throw integrityViolation(`the row of slot ${row.slot}`)
        return update('slots', row, { rootVersion: next, sealedRoot: row.nextRoot, nextRoot: null })
      })
      const done = update('cluster', cluster, { rootVersion: next, nextRootVersion: null })
      const event = { action: 'root.retire' as const, rootVersion: old }
      if ((await audit.commit(event, [done, ...changes])) === 'conflict') continue
      root.retire(old)
      return
    }
    throw new ServiceError('invalid_state', 'the slots change all the time', { hint: 'try again' })
  }

  /** What every slot holds now, compared with what was written, and opened as far as it can be without its holder. */
  async #readBack(changes: readonly Change[], version: number): Promise<void> {
    const { reads, root } = this.#options
    const { clusterId } = root
    for (const { table, after: written } of changes) {
      if (table !== 'slots' || written === undefined) continue
      const row = await reads.row('slots', { slot: written.slot })
      if (row === undefined || row.nextRoot === null || written.nextRoot === null) {
        throw integrityViolation(`the row of slot ${written.slot}`)
      }
      const keys = slotKeys(root, row)
      try {
        const isRight =
          equalBytes(row.nextRoot, written.nextRoot) &&
          isOwnWrap(row.nextRoot, { clusterId, ...row }, version, keys)
        if (!isRight) throw integrityViolation(`the row of slot ${row.slot}`)
      } finally {
        keys.authKey.wipe()
      }
    }
  }
}
