/** Identities of versions: made, sealed, opened again, and a bounded number of them kept open. */

import { equalBytes, generateIdentity, LocalIdentity, toHex } from '@longhold/core'

import { integrityViolation } from './errors.ts'
import type { VersionRow } from './key-store.ts'
import type { Root } from './root.ts'

const maxOpen = 256

/** A new version, `primary`, its seed sealed. */
export function createVersion(root: Root, key: string, version: number, now: number): VersionRow {
  const identity = generateIdentity()
  try {
    const row = {
      key,
      version,
      state: 'primary' as const,
      kemId: identity.kemId,
      publicKey: identity.recipient.publicKey,
      recipientId: identity.recipientId,
      rootVersion: root.version,
      createdAt: now,
      stateChangedAt: now,
    }
    return { ...row, sealedSeed: identity.useSeed((seed) => root.seal(address(row), seed)) }
  } finally {
    identity.wipe()
  }
}

/** Opened identities, least recently used out first; wiped as they leave. */
export class Identities {
  readonly #root: Root
  readonly #open = new Map<string, LocalIdentity>()

  constructor(root: Root) {
    this.#root = root
  }

  /**
   * The identity of a row. Use it before anything else is awaited: a later call may wipe it.
   *
   * @throws ServiceError `integrity_violation` when the seed does not open at this row, or is not the one of the
   * row's public key: who replaces a public key would otherwise make every writer wrap for him.
   */
  get(row: VersionRow): LocalIdentity {
    const name = `${row.key} ${row.version} ${toHex(row.publicKey)}`
    const identity = this.#open.get(name) ?? this.#openRow(row)
    this.#open.delete(name)
    this.#open.set(name, identity)
    const [oldest] = this.#open
    if (this.#open.size > maxOpen && oldest !== undefined) {
      this.#open.delete(oldest[0])
      oldest[1].wipe()
    }
    return identity
  }

  close(): void {
    for (const identity of this.#open.values()) identity.wipe()
    this.#open.clear()
  }

  #openRow(row: VersionRow): LocalIdentity {
    const what = `the row of ${row.key} version ${row.version}`
    const seed = this.#root.open(address(row), row.sealedSeed)
    if (seed === undefined) throw integrityViolation(what)
    let identity: LocalIdentity
    try {
      identity = seed.use((bytes) => LocalIdentity.fromSeed(bytes, row.kemId))
    } finally {
      seed.wipe()
    }
    const { recipient, recipientId } = identity
    if (!equalBytes(recipient.publicKey, row.publicKey) || !equalBytes(recipientId, row.recipientId)) {
      identity.wipe()
      throw integrityViolation(what)
    }
    return identity
  }
}

type Addressed = Pick<VersionRow, 'key' | 'version' | 'kemId' | 'rootVersion' | 'publicKey'>

function address({ key, version, kemId, rootVersion, publicKey }: Addressed) {
  const kind = `kem ${kemId}`
  return { purpose: 'identity' as const, rootVersion, id: key, version, kind, publicKey }
}
