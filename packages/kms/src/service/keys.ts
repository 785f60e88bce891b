/** Keys and their versions: made, listed, rotated, switched off. */

import type { PublicKeyRecipient } from '@longhold/core'
import type { SettableState } from '@longhold/core/kms'

import type { AuditLog } from './audit-log.ts'
import { integrityViolation, notFound, ServiceError } from './errors.ts'
import { createVersion } from './identities.ts'
import type { Identities } from './identities.ts'
import type { KeyRow, KeyStore, KeySummary, NewKey, PageRequest, VersionRow } from './key-store.ts'
import { keyNotFound, maySee, permissionDenied, requireVisible } from './policy.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import { checkTransition, unwrappingStates } from './states.ts'

/** Names of keys. No upper case, no slash: one spelling each, also in a path. */
export const keyPattern = /^[a-z0-9][a-z0-9._-]{0,63}$/u

const bundleLifeMs = 24 * 60 * 60 * 1000
const maxAttempts = 5

export interface KeysOptions {
  readonly store: KeyStore
  readonly root: Root
  readonly identities: Identities
  readonly audit: AuditLog
  readonly now: () => number
}

export interface PublicKey {
  readonly key: string
  readonly version: number
  readonly generation: number
  readonly recipient: PublicKeyRecipient
  /** Of all versions that can unwrap. */
  readonly recipientIds: readonly Uint8Array[]
  readonly issuedAt: number
  readonly notAfter: number
}

/** A key with version 1. */
export function newKey(root: Root, key: string, rewrapTo: readonly string[], now: number): NewKey {
  const version = createVersion(root, key, 1, now)
  const row: KeyRow = {
    key,
    purpose: 'wrap',
    kemId: version.kemId,
    generation: 1,
    latestVersion: 1,
    rewrapTo,
    createdAt: now,
    rotatedAt: null,
  }
  return { key: row, version }
}

export class Keys {
  readonly #options: KeysOptions
  /** Rotations of one key, one after the other. */
  readonly #rotating = new Map<string, Promise<unknown>>()

  constructor(options: KeysOptions) {
    this.#options = options
  }

  /** @throws ServiceError `permission_denied` outside the caller's keys, `not_found`, `invalid_state`. */
  async create(caller: Caller, key: string, rewrapTo: readonly string[]): Promise<KeySummary> {
    const { store, root, audit, now } = this.#options
    if (!maySee(caller.principal, key)) throw permissionDenied('keys.create')
    // Only keys that are there: a name to come could be taken by anybody.
    for (const target of rewrapTo) await this.get(caller, target)
    const created = newKey(root, key, [...new Set(rewrapTo)], now())
    const outcome = await audit.commit({ action: 'key.create', caller, key, version: 1 }, (entries) =>
      store.createKey(created, entries),
    )
    if (outcome === 'conflict') {
      throw new ServiceError('invalid_state', `there is a key ${key} already, or was one`, {
        hint: 'choose another name: names are never given again',
      })
    }
    return { ...created.key, primaryVersion: 1 }
  }

  /** @throws ServiceError `not_found`. */
  async get({ principal }: Caller, key: string): Promise<KeySummary> {
    requireVisible(principal, key)
    const row = await this.#options.store.key(key)
    if (row === undefined) throw keyNotFound(key)
    return row
  }

  /** The keys the caller may see, a page at a time. */
  async list({ principal }: Caller, page: PageRequest<string>): Promise<KeySummary[]> {
    const { store } = this.#options
    if (principal.keys === null) return await store.keys(page)
    const names = [...new Set(principal.keys)].toSorted().filter((key) => key > (page.after ?? ''))
    const found: KeySummary[] = []
    for (const key of names) {
      const row = await store.key(key)
      if (row !== undefined) found.push(row)
      if (found.length === page.limit) break
    }
    return found
  }

  async versions(caller: Caller, key: string, page: PageRequest<number>): Promise<VersionRow[]> {
    await this.get(caller, key)
    return await this.#options.store.versions(key, page)
  }

  /** A new version becomes primary, the old one goes on unwrapping. */
  async rotate(caller: Caller, key: string): Promise<KeySummary> {
    await this.get(caller, key)
    const before = this.#rotating.get(key)
    const mine = (async () => {
      await before?.catch(() => undefined)
      return await this.#rotate(caller, key)
    })()
    this.#rotating.set(key, mine)
    try {
      return await mine
    } finally {
      if (this.#rotating.get(key) === mine) this.#rotating.delete(key)
    }
  }

  async #rotate(caller: Caller, key: string): Promise<KeySummary> {
    const { store, root, audit, now } = this.#options
    // Other processes may rotate too: each attempt starts from what is there.
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const row = await this.get(caller, key)
      const version = createVersion(root, key, row.latestVersion + 1, now())
      const rotation = {
        key,
        expectedGeneration: row.generation,
        expectedPrimary: row.primaryVersion,
        version,
      }
      const outcome = await audit.commit(
        { action: 'key.rotate', caller, key, version: version.version },
        (entries) => store.rotate(rotation, entries),
      )
      if (outcome === 'done') {
        const latest = version.version
        return {
          ...row,
          generation: row.generation + 1,
          latestVersion: latest,
          primaryVersion: latest,
          rotatedAt: version.createdAt,
        }
      }
    }
    throw new ServiceError('invalid_state', `the key ${key} is being changed by others`, {
      hint: 'try again',
    })
  }

  /** @throws ServiceError `not_found`, `invalid_state` for a transition that is not legal. */
  async setState(caller: Caller, key: string, number: number, to: SettableState): Promise<VersionRow> {
    const { store, audit, now } = this.#options
    const { generation } = await this.get(caller, key)
    const version = await store.version(key, number)
    if (version === undefined) throw notFound(`version ${number} of the key ${key}`)
    const from = version.state
    if (from === to) return version
    checkTransition(from, to)
    if (from === 'primary') {
      throw new ServiceError('invalid_state', `version ${number} is the primary of ${key}`, {
        hint: 'rotate the key first: the old primary becomes unwrap_only by that',
      })
    }
    const at = now()
    const outcome = await audit.commit(
      { action: 'version.update', caller, key, version: number, from, to },
      (entries) =>
        store.changeState({ key, version: number, expectedGeneration: generation, from, to, at }, entries),
    )
    if (outcome === 'conflict') {
      throw new ServiceError('invalid_state', `the key ${key} was changed meanwhile`, { hint: 'try again' })
    }
    return { ...version, state: to, stateChangedAt: at }
  }

  /** What a writer needs. The public key is checked against the sealed seed, never taken from the row alone. */
  async publicKey(caller: Caller, key: string): Promise<PublicKey> {
    const { store, now } = this.#options
    const { generation } = await this.get(caller, key)
    const { version, recipient } = await this.primary(key)
    const recipientIds = await store.recipientIds(key, unwrappingStates)
    const issuedAt = now()
    return {
      key,
      version,
      generation,
      recipient,
      recipientIds,
      issuedAt,
      notAfter: issuedAt + bundleLifeMs,
    }
  }

  /** The checked public key of the primary version of a key that exists. */
  async primary(key: string): Promise<{ version: number; recipient: PublicKeyRecipient }> {
    const { store, identities } = this.#options
    const summary = await store.key(key)
    const row = summary && (await store.version(key, summary.primaryVersion))
    if (row === undefined) throw integrityViolation(`the key ${key}, without a primary version,`)
    return { version: row.version, recipient: identities.get(row).recipient }
  }
}
