/**
 * The service's own keys: the pepper of the tokens, the key of the rows' MACs, that of the audit chain, the seed of the
 * signing identity and the key of the cursors. Random and versioned, sealed as rows like identities and not derived from the root, so that a new root kills no token and no old
 * log.
 */

import { randomBytes } from 'node:crypto'

import { Secret } from '@longhold/core'

import { integrityViolation } from './errors.ts'
import type { Root } from './root.ts'
import type { OwnKeyPurpose, OwnKeyRow } from './rows.ts'

const purposes: readonly OwnKeyPurpose[] = ['token-pepper', 'row-mac', 'audit-chain', 'signing', 'cursor']

export interface OwnKey {
  readonly version: number
  readonly secret: Secret
}

/** Version 1 of each. */
export function createOwnKeys(root: Root, now: number): OwnKeyRow[] {
  return purposes.map((purpose) => {
    const fresh = Secret.take(new Uint8Array(randomBytes(32)))
    const row = { purpose, version: 1, rootVersion: root.version, createdAt: now }
    try {
      return { ...row, sealed: fresh.use((bytes) => root.seal(ownKeyAddress(row), bytes)) }
    } finally {
      fresh.wipe()
    }
  })
}

/** Holds all versions; old ones still check what was written under them. */
export class OwnKeys {
  readonly #keys = new Map<string, OwnKey>()
  readonly #newest = new Map<OwnKeyPurpose, OwnKey>()

  /** @throws ServiceError `integrity_violation` when a row does not open, or one is missing. */
  constructor(root: Root, rows: readonly OwnKeyRow[]) {
    for (const row of rows.toSorted((a, b) => a.version - b.version)) {
      const secret = root.open(ownKeyAddress(row), row.sealed)
      if (secret === undefined) throw integrityViolation(`the row of the service's ${row.purpose} key`)
      const key = { version: row.version, secret }
      this.#keys.set(`${row.purpose} ${row.version}`, key)
      this.#newest.set(row.purpose, key)
    }
    for (const purpose of purposes) this.newest(purpose)
  }

  newest(purpose: OwnKeyPurpose): OwnKey {
    const key = this.#newest.get(purpose)
    if (key === undefined) throw integrityViolation(`the set of the service's own keys, without ${purpose},`)
    return key
  }

  version(purpose: OwnKeyPurpose, version: number): OwnKey | undefined {
    return this.#keys.get(`${purpose} ${version}`)
  }

  close(): void {
    for (const { secret } of this.#keys.values()) secret.wipe()
  }
}

export function ownKeyAddress({ purpose, version, rootVersion }: Omit<OwnKeyRow, 'sealed' | 'createdAt'>) {
  return {
    purpose: 'own-key' as const,
    rootVersion,
    id: purpose,
    version,
    kind: purpose,
    publicKey: new Uint8Array(0),
  }
}
