/** Identities of versions: made, sealed, opened again, and a bounded number of them kept open. */

import { generateIdentity, LocalIdentity, Secret } from '@longhold/core'

import { integrityViolation } from './errors.ts'
import type { Root } from './root.ts'
import type { VersionRow } from './rows.ts'

const maxOpen = 256

/** What a new version is to be. */
export interface NewVersion {
  readonly key: string
  readonly version: number
  readonly state: VersionRow['state']
  readonly now: number
}

/** A new version, its seed sealed. */
export function createVersion(root: Root, made: NewVersion): VersionRow {
  const identity = generateIdentity()
  try {
    return sealVersion(root, identity, made)
  } finally {
    identity.wipe()
  }
}

/** A version of a seed that is there. The identity is borrowed. */
export function sealVersion(
  root: Root,
  identity: LocalIdentity,
  { key, version, state, now }: NewVersion,
): VersionRow {
  const row = {
    key,
    version,
    state,
    kemId: identity.kemId,
    publicKey: identity.recipient.publicKey,
    recipientId: identity.recipientId,
    rootVersion: root.version,
    createdAt: now,
    stateChangedAt: now,
    compromisedAt: null,
    destroyAt: null,
  }
  return { ...row, sealedSeed: identity.useSeed((seed) => root.seal(identityAddress(row), seed)) }
}

/** Opened identities, least recently used out first; wiped as they leave. */
export class Identities {
  readonly #root: Root
  readonly #open = new Map<string, Opened>()

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
    const name = `${row.key} ${row.version}`
    const known = this.#open.get(name)
    const opened = known !== undefined && known.isOf(row) ? known : this.#openRow(row)
    if (known !== opened) known?.identity.wipe()
    this.#open.delete(name)
    this.#open.set(name, opened)
    const [oldest] = this.#open
    if (this.#open.size > maxOpen && oldest !== undefined) {
      this.#open.delete(oldest[0])
      oldest[1].identity.wipe()
    }
    return opened.identity
  }

  /** The seed of a row, checked as in `get`. The caller wipes it. */
  copySeed(row: VersionRow): Secret {
    return this.get(row).useSeed((seed) => Secret.copyOf(seed))
  }

  /** Forgets a version that is destroyed. */
  forget(key: string, version: number): void {
    const name = `${key} ${version}`
    this.#open.get(name)?.identity.wipe()
    this.#open.delete(name)
  }

  close(): void {
    for (const { identity } of this.#open.values()) identity.wipe()
    this.#open.clear()
  }

  #openRow(row: VersionRow): Opened {
    const what = `the row of ${row.key} version ${row.version}`
    const seed = this.#root.open(identityAddress(row), row.sealedSeed)
    if (seed === undefined) throw integrityViolation(what)
    let identity: LocalIdentity
    try {
      identity = seed.use((bytes) => LocalIdentity.fromSeed(bytes, row.kemId))
    } finally {
      seed.wipe()
    }
    const opened = new Opened(identity)
    if (opened.isOf(row)) return opened
    identity.wipe()
    throw integrityViolation(what)
  }
}

class Opened {
  readonly identity: LocalIdentity
  readonly #publicKey: Uint8Array

  constructor(identity: LocalIdentity) {
    this.identity = identity
    this.#publicKey = identity.recipient.publicKey
  }

  /** Whether the row names the public key and the id that belong to this seed. */
  isOf({ publicKey, recipientId }: VersionRow): boolean {
    // Not secret, and asked for every stanza: the platform's comparison.
    return same(this.#publicKey, publicKey) && same(this.identity.recipientId, recipientId)
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

type Addressed = Pick<VersionRow, 'key' | 'version' | 'kemId' | 'rootVersion' | 'publicKey'>

export function identityAddress({ key, version, kemId, rootVersion, publicKey }: Addressed) {
  const kind = `kem ${kemId}`
  return { purpose: 'identity' as const, rootVersion, id: key, version, kind, publicKey }
}
