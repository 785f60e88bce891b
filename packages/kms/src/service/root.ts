/** The opened root key of a cluster: seals and opens rows of its version. */

import { randomBytes } from 'node:crypto'

import { Secret, toHex } from '@longhold/core'

import { integrityViolation, ServiceError } from './errors.ts'
import { everyRow } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import type { RootKey } from './root-key.ts'
import type { ClusterRow, SlotRow } from './rows.ts'
import { associatedData, openRow, sealRow } from './sealing.ts'
import type { RowAddress } from './sealing.ts'

/** An address without what is the same for every row of the cluster. */
export type LocalAddress = Omit<RowAddress, 'clusterId'>

export class Root {
  readonly clusterId: Uint8Array
  readonly version: number
  readonly #secret: Secret

  constructor({ clusterId, rootVersion }: ClusterRow, secret: Secret) {
    this.clusterId = clusterId
    this.version = rootVersion
    this.#secret = secret
  }

  seal(address: LocalAddress, plaintext: Uint8Array): Uint8Array {
    return this.#secret.use((root) => sealRow(root, { ...address, clusterId: this.clusterId }, plaintext))
  }

  /** `undefined` when the row does not open. */
  open(address: LocalAddress, sealed: Uint8Array): Secret | undefined {
    return this.#secret.use((root) => openRow(root, { ...address, clusterId: this.clusterId }, sealed))
  }

  close(): void {
    this.#secret.wipe()
  }
}

/** A new root for a new cluster, sealed in its first slot. */
export async function createRoot(
  rootKey: RootKey,
  now: number,
): Promise<{ root: Root; cluster: ClusterRow; slot: SlotRow }> {
  const cluster = { clusterId: new Uint8Array(randomBytes(16)), rootVersion: 1, createdAt: now }
  const secret = Secret.take(new Uint8Array(randomBytes(32)))
  const row = { slot: toHex(randomBytes(8)), kind: rootKey.kind, rootVersion: 1, createdAt: now }
  const copy = secret.use((bytes) => new Uint8Array(bytes))
  try {
    const sealedRoot = await rootKey.seal(copy, slotBound(cluster, row))
    return { root: new Root(cluster, secret), cluster, slot: { ...row, sealedRoot } }
  } finally {
    copy.fill(0)
  }
}

/**
 * The root of an existing cluster. The slot's row is the verifier: a wrong secret does not open it, and then nothing
 * else is touched.
 *
 * @throws ServiceError `not_initialised`, `wrong_key_file`, `integrity_violation`.
 */
export async function openRoot(rootKey: RootKey, store: RowReads): Promise<Root> {
  const cluster = await clusterOf(store)
  if (cluster === undefined) {
    throw new ServiceError('not_initialised', 'the database holds no key service yet', {
      hint: 'initialise it once',
    })
  }
  const slots = await everyRow(store, 'slots')
  const slot = slots.find(
    ({ kind, rootVersion }) => kind === rootKey.kind && rootVersion === cluster.rootVersion,
  )
  if (slot === undefined) throw integrityViolation(`the set of slots, without a ${rootKey.kind},`)
  const secret = await rootKey.open(slot.sealedRoot, slotBound(cluster, slot))
  if (secret.length !== 32) {
    secret.wipe()
    throw integrityViolation('the root key')
  }
  return new Root(cluster, secret)
}

/** Undefined: the store is empty. */
export async function clusterOf(store: RowReads): Promise<ClusterRow | undefined> {
  const [row] = await store.rows('cluster', { limit: 1 })
  return row
}

function slotBound({ clusterId }: ClusterRow, { slot, kind, rootVersion }: Omit<SlotRow, 'sealedRoot'>) {
  return associatedData({
    purpose: 'root',
    clusterId,
    rootVersion,
    id: slot,
    version: rootVersion,
    kind,
    publicKey: new Uint8Array(0),
  })
}
