/**
 * What an operator does about a database that is older than its anchor: looks at both, and accepts it or does not. What
 * the newer one held is lost then, a revoked token lives again: whoever accepts says so in the audit log.
 */

import { randomBytes } from 'node:crypto'

import { toHex } from '@longhold/core'

import { rollbackOf } from './anchor.ts'
import type { Anchor } from './anchor.ts'
import { extend } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import { auditHeads } from './audit-heads.ts'
import { ServiceError } from './errors.ts'
import { everyRow } from './key-store.ts'
import type { KeyStore } from './key-store.ts'
import { Ledger } from './ledger.ts'
import { OwnKeys } from './own-keys.ts'
import { openRoot } from './root-opening.ts'
import { RowMacs } from './row-mac.ts'
import type { SlotOpener } from './slot-opener.ts'
import { verifyRows } from './verify-rows.ts'

export interface RollbackOptions {
  readonly store: KeyStore
  /** Of any slot: nobody else accepts anything. */
  readonly opener: SlotOpener
  readonly anchor: Anchor
  readonly now?: () => number
}

/** A database that is older than what its anchor says. */
export interface Rollback {
  /** Of the head in the database: each head has a higher one than those before it. */
  readonly databaseEpoch: number
  /** Null: there is no anchor, or that of another cluster. */
  readonly anchorEpoch: number | null
  /** For people. */
  readonly what: string
  /** Whether it was accepted now. */
  readonly isAccepted: boolean
}

/**
 * Accepts the database as it is. The next epoch is above both, so that no head is ever made twice.
 *
 * @param epochs What is accepted: the epochs of database and anchor, `41:57`, or `41:none`; or `any`.
 * @returns What there was to accept, and whether these were its epochs; undefined: the database is not older than its
 * anchor, nothing was done.
 * @throws ServiceError `integrity_violation` for a database that is not whole in itself: no one can accept that;
 * `not_initialised`, `wrong_secret`, `storage_unavailable`.
 */
export async function acceptRollback(
  { store, opener, anchor, now = Date.now }: RollbackOptions,
  epochs: string | undefined,
): Promise<Rollback | undefined> {
  const { root } = await openRoot(opener, store)
  const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
  const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
  try {
    const { head } = await verifyRows(store, macs, { isAlone: true })
    const anchored = await anchor.read()
    const fault = rollbackOf(root.clusterId, head, anchored, anchor.place)
    if (fault === undefined) return undefined
    const isOurs = anchored !== undefined && toHex(anchored.clusterId) === toHex(root.clusterId)
    const anchorEpoch = isOurs ? anchored.epoch : null
    const rollback = { databaseEpoch: head.epoch, anchorEpoch, what: fault.message }
    if (epochs !== 'any' && epochs !== epochsOf(rollback)) return { ...rollback, isAccepted: false }
    const ledger = new Ledger(store, macs)
    const newest = (await auditHeads(ledger)).at(-1)
    const at = now()
    const chain = {
      clusterId: root.clusterId,
      run: toHex(randomBytes(16)),
      ordinal: (newest?.ordinal ?? 0) + 1,
      startedAt: at,
      key: ownKeys.newest('audit-chain'),
    }
    const previous = newest && [{ run: newest.run, seq: newest.seq, mac: toHex(newest.lastMac) }]
    const event = { action: 'rollback.accept' as const, previous, epoch: head.epoch, anchorEpoch }
    const audit = extend(chain, undefined, [encodeEvent(event, at)])
    const outcome = await ledger.commit([], audit, { aboveEpoch: anchorEpoch ?? 0 })
    const accepted = await store.head()
    if (outcome !== 'done' || accepted === undefined) {
      throw new ServiceError('storage_unavailable', 'the database was changed meanwhile', {
        hint: 'try again',
      })
    }
    await anchor.write({ clusterId: root.clusterId, ...accepted })
    return { ...rollback, isAccepted: true }
  } finally {
    macs.close()
    ownKeys.close()
    root.close()
  }
}

/** As an operator types them: `41:57`. */
export function epochsOf({
  databaseEpoch,
  anchorEpoch,
}: Pick<Rollback, 'databaseEpoch' | 'anchorEpoch'>): string {
  return `${databaseEpoch}:${anchorEpoch ?? 'none'}`
}
