/** The slots in which the root key is kept: listed, added, removed. Any one of them opens it. */

import { randomBytes } from 'node:crypto'

import { PublicKeyRecipient, toHex } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import { integrityViolation, notFound, ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import type { ClusterRow, SlotRow, Stored } from './rows.ts'
import type { SlotOpener } from './slot-opener.ts'
import { SlotSecret } from './slot-secret.ts'
import type { SlotKeys } from './slot-secret.ts'

export const maxSlots = 16

export interface SlotsOptions {
  readonly reads: RowReads
  readonly root: Root
  readonly audit: AuditLog
  readonly now: () => number
}

export interface NewSlot {
  readonly label: string
  readonly opener: SlotOpener
}

/**
 * A slot with the newest root in it. What was sealed is opened again before anybody relies on it.
 *
 * @throws ServiceError `slot_unavailable`; `integrity_violation` when it does not open.
 */
export async function makeSlot(root: Root, { label, opener }: NewSlot, now: number): Promise<SlotRow> {
  const { clusterId, version: rootVersion } = root
  const address = { clusterId, slot: toHex(randomBytes(8)), kind: opener.kind }
  const secret = SlotSecret.generate()
  const identity = secret.identity()
  const authKey = secret.authKey()
  try {
    const sealedSecret = await secret.seal(address, opener)
    const again = await SlotSecret.open(address, opener, sealedSecret)
    const isSame = again?.isSameAs(secret) ?? false
    again?.wipe()
    if (!isSame) throw integrityViolation('the slot that was just made')
    const { recipient, kemId } = identity
    const row = { ...address, label, kemId, publicKey: recipient.publicKey, rootVersion }
    const sealedAuth = authKey.use((key) =>
      root.seal(authAddress({ ...row, authRootVersion: rootVersion }), key),
    )
    const sealedRoot = await root.wrapFor(address, rootVersion, { recipient, authKey })
    const { slot, kind, publicKey } = row
    return {
      slot,
      kind,
      label,
      kemId,
      publicKey,
      sealedSecret,
      authRootVersion: rootVersion,
      sealedAuth,
      rootVersion,
      sealedRoot,
      nextRoot: null,
      createdAt: now,
    }
  } finally {
    secret.wipe()
    identity.wipe()
    authKey.wipe()
  }
}

/**
 * What a root is wrapped under for this slot, without the secret of whoever holds it. The caller wipes `authKey`.
 *
 * @throws ServiceError `integrity_violation`.
 */
export function slotKeys(root: Root, row: SlotRow): SlotKeys {
  const authKey = root.open(authAddress(row), row.sealedAuth)
  if (authKey === undefined) throw integrityViolation(`the row of slot ${row.slot}`)
  return { recipient: PublicKeyRecipient.fromPublicKey(row.kemId, row.publicKey), authKey }
}

export function authAddress({ slot, kind, authRootVersion, publicKey }: AuthAddressed) {
  return {
    purpose: 'slot-auth' as const,
    rootVersion: authRootVersion,
    id: slot,
    version: 1,
    kind,
    publicKey,
  }
}

type AuthAddressed = Pick<SlotRow, 'slot' | 'kind' | 'authRootVersion' | 'publicKey'>

/** @throws ServiceError `integrity_violation`. */
export async function readCluster(reads: RowReads): Promise<Stored<ClusterRow>> {
  const [cluster] = await reads.rows('cluster', { limit: 1 })
  if (cluster === undefined) throw integrityViolation('the database, without a cluster,')
  return cluster
}

export async function readSlots(reads: RowReads): Promise<Stored<SlotRow>[]> {
  return await reads.rows('slots', { limit: maxSlots + 1 })
}

export class Slots {
  readonly #options: SlotsOptions

  constructor(options: SlotsOptions) {
    this.#options = options
  }

  async list(): Promise<SlotRow[]> {
    return await readSlots(this.#options.reads)
  }

  /**
   * @throws ServiceError `invalid_state` above 16 slots and while the root key is being replaced, `slot_unavailable`.
   */
  async add(caller: Caller, wanted: NewSlot): Promise<SlotRow> {
    const { reads, root, audit, now } = this.#options
    const cluster = await readCluster(reads)
    refuseDuringRotation(cluster)
    if ((await readSlots(reads)).length >= maxSlots) {
      throw new ServiceError('invalid_state', `there are ${maxSlots} slots already`, {
        hint: 'remove one that nobody needs',
      })
    }
    const row = await makeSlot(root, wanted, now())
    const event = { action: 'slot.create' as const, caller, slot: row.slot, slotKind: row.kind }
    // The cluster's row too gets its next generation: a rotation of the root that begins now would miss this slot.
    const outcome = await audit.commit(event, [update('cluster', cluster), insert('slots', row)])
    if (outcome === 'conflict') throw movedOn()
    return row
  }

  /**
   * No revocation: an older backup opens with it as before.
   *
   * @throws ServiceError `not_found`; `invalid_state` for the last one, and where two are kept for the one but last.
   */
  async remove(caller: Caller, slot: string): Promise<void> {
    const { reads, audit } = this.#options
    const cluster = await readCluster(reads)
    refuseDuringRotation(cluster)
    const slots = await readSlots(reads)
    const row = slots.find((one) => one.slot === slot)
    if (row === undefined) throw notFound(`the slot ${slot}`)
    if (slots.length <= Math.max(1, cluster.minSlots)) {
      throw new ServiceError(
        'invalid_state',
        `this service keeps at least ${cluster.minSlots} of its slots`,
        {
          hint: 'add another one first',
        },
      )
    }
    const event = { action: 'slot.remove' as const, caller, slot, slotKind: row.kind }
    const outcome = await audit.commit(event, [update('cluster', cluster), remove('slots', row)])
    if (outcome === 'conflict') throw movedOn()
  }
}

/**
 * Before a key is made: losing the only slot loses every key.
 *
 * @throws ServiceError `invalid_state`.
 */
export async function requireEnoughSlots(reads: RowReads): Promise<void> {
  const { minSlots } = await readCluster(reads)
  const { length } = await readSlots(reads)
  if (length >= minSlots) return
  throw new ServiceError(
    'invalid_state',
    `there is ${length} slot of the ${minSlots} that this service keeps`,
    { hint: 'add one before the first key: longhold kms slots add passphrase' },
  )
}

function refuseDuringRotation({ nextRootVersion }: ClusterRow): void {
  if (nextRootVersion === null) return
  throw new ServiceError('invalid_state', 'the root key is being replaced', {
    hint: 'wait until that is done: longhold kms rotate-root',
  })
}

function movedOn(): ServiceError {
  return new ServiceError('invalid_state', 'the slots changed in the meantime', {
    hint: 'look at them, then try again',
  })
}
