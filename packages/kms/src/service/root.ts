/** The opened root key of a cluster, while it is replaced two of them: seals and opens rows of their versions. */

import type { Secret } from '@longhold/core'

import { ServiceError } from './errors.ts'
import { openRow, sealRow } from './sealing.ts'
import type { RowAddress } from './sealing.ts'
import { wrapRoot } from './slot-secret.ts'
import type { SlotAddress, SlotKeys } from './slot-secret.ts'

/** An address without what is the same for every row of the cluster. */
export type LocalAddress = Omit<RowAddress, 'clusterId'>

export class Root {
  readonly clusterId: Uint8Array
  readonly #secrets: Map<number, Secret>

  /** @param secrets By version; owned from now on. */
  constructor(clusterId: Uint8Array, secrets: ReadonlyMap<number, Secret>) {
    this.clusterId = clusterId
    this.#secrets = new Map(secrets)
  }

  /** Of the newest, which new rows are sealed under. */
  get version(): number {
    return Math.max(...this.#secrets.keys())
  }

  has(version: number): boolean {
    return this.#secrets.has(version)
  }

  /** Seals under the root that the address names. */
  seal(address: LocalAddress, plaintext: Uint8Array): Uint8Array {
    const { clusterId } = this
    return this.#secret(address.rootVersion).use((root) =>
      sealRow(root, { ...address, clusterId }, plaintext),
    )
  }

  /** `undefined` when the row does not open. */
  open(address: LocalAddress, sealed: Uint8Array): Secret | undefined {
    const { clusterId } = this
    return this.#secrets
      .get(address.rootVersion)
      ?.use((root) => openRow(root, { ...address, clusterId }, sealed))
  }

  /** For a slot's row. */
  async wrapFor(address: SlotAddress, version: number, keys: SlotKeys): Promise<Uint8Array> {
    return await wrapRoot(this.#secret(version), address, version, keys)
  }

  /** Every root there is, for a backup and nothing else. What is lent is not kept. */
  async lendSecrets(read: (version: number, root: Uint8Array) => Promise<void>): Promise<void> {
    for (const [version, secret] of this.#secrets) {
      const copy = secret.use((bytes) => new Uint8Array(bytes))
      try {
        await read(version, copy)
      } finally {
        copy.fill(0)
      }
    }
  }

  /** The next one, once every slot holds it. Owned from now on. */
  add(version: number, secret: Secret): void {
    this.#secrets.set(version, secret)
  }

  /** Forgets one that no row needs any more. */
  retire(version: number): void {
    this.#secrets.get(version)?.wipe()
    this.#secrets.delete(version)
  }

  close(): void {
    for (const secret of this.#secrets.values()) secret.wipe()
  }

  #secret(version: number): Secret {
    const secret = this.#secrets.get(version)
    if (secret === undefined)
      throw new ServiceError('invalid_state', `root key version ${version} is not here`)
    return secret
  }
}
