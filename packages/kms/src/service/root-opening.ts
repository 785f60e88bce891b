/** The root key of a cluster: made once, and opened by whatever opens one of its slots. */

import { randomBytes } from 'node:crypto'

import { equalBytes, Secret } from '@longhold/core'

import { integrityViolation, ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import { Root } from './root.ts'
import type { ClusterRow, SlotRow } from './rows.ts'
import type { SlotOpener } from './slot-opener.ts'
import { rootBytes, SlotSecret, unwrapRoot } from './slot-secret.ts'
import { makeSlot, maxSlots, readSlots } from './slots.ts'

export interface NewRoot {
  readonly opener: SlotOpener
  /** How many slots there must be before the first key, and from then on: 1 or 2. */
  readonly minSlots: number
  readonly now: number
}

/** A new root for a new cluster, in its first slot. */
export async function createRoot({ opener, minSlots, now }: NewRoot): Promise<{
  root: Root
  cluster: ClusterRow
  slot: SlotRow
}> {
  const clusterId = new Uint8Array(randomBytes(16))
  const root = new Root(clusterId, new Map([[1, Secret.take(new Uint8Array(randomBytes(rootBytes)))]]))
  const slot = await makeSlot(root, { label: 'first', opener }, now)
  return {
    root,
    cluster: {
      clusterId,
      rootVersion: 1,
      nextRootVersion: null,
      minSlots,
      createdAt: now,
      restoredAt: null,
    },
    slot,
  }
}

/** Which slot opened. */
export interface OpenedRoot {
  readonly root: Root
  readonly slot: Pick<SlotRow, 'slot' | 'kind'>
}

/**
 * The root of an existing cluster, from the first slot that `opener` opens. What is sealed there is the verifier: a wrong
 * secret does not open it, and then nothing else is touched.
 *
 * @throws ServiceError `not_initialised`, `wrong_secret`, `slot_unavailable`, `integrity_violation`.
 */
export async function openRoot(opener: SlotOpener, store: RowReads): Promise<OpenedRoot> {
  const cluster = await clusterOf(store)
  if (cluster === undefined) {
    throw new ServiceError('not_initialised', 'the database holds no key service yet', {
      hint: 'initialise it once',
    })
  }
  // No more than there can be: nothing of the database is verified yet, and each may cost a second.
  const slots = (await readSlots(store)).slice(0, maxSlots).filter(({ kind }) => kind === opener.kind)
  let failure = new ServiceError('wrong_secret', `there is no slot of kind ${opener.kind}`, {
    hint: 'give what one of the slots was made with',
  })
  for (const slot of slots) {
    const { clusterId } = cluster
    const address = { clusterId, slot: slot.slot, kind: slot.kind }
    let secret: SlotSecret | undefined
    try {
      secret = await SlotSecret.open(address, opener, slot.sealedSecret)
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== 'wrong_secret') throw error
      failure = error
      continue
    }
    if (secret === undefined) throw damaged(slot)
    try {
      return { root: new Root(clusterId, await rootsIn(slot, cluster, secret)), slot: address }
    } finally {
      secret.wipe()
    }
  }
  throw failure
}

/** Undefined: the store is empty. */
export async function clusterOf(store: RowReads): Promise<ClusterRow | undefined> {
  const [row] = await store.rows('cluster', { limit: 1 })
  return row
}

async function rootsIn(slot: SlotRow, cluster: ClusterRow, secret: SlotSecret): Promise<Map<number, Secret>> {
  const { clusterId, rootVersion, nextRootVersion } = cluster
  const address = { clusterId, slot: slot.slot, kind: slot.kind }
  const [identity, authKey] = [secret.identity(), secret.authKey()]
  const roots = new Map<number, Secret>()
  try {
    if (!equalBytes(identity.recipient.publicKey, slot.publicKey)) throw damaged(slot)
    const wanted = [[rootVersion, slot.sealedRoot] as const]
    if (nextRootVersion !== null) {
      if (slot.nextRoot === null) throw damaged(slot)
      wanted.push([nextRootVersion, slot.nextRoot])
    }
    for (const [version, sealed] of wanted) {
      const root = await unwrapRoot(sealed, address, version, { identity, authKey })
      if (root === undefined) throw damaged(slot)
      roots.set(version, root)
    }
    return roots
  } catch (error) {
    for (const root of roots.values()) root.wipe()
    throw error
  } finally {
    identity.wipe()
    authKey.wipe()
  }
}

function damaged({ slot }: SlotRow): ServiceError {
  return integrityViolation(`the row of slot ${slot}`)
}
