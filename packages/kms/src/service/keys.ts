/** Keys and their versions: made, listed, rotated, switched off. */

import type { PublicKeyRecipient } from '@longhold/core'
import type { SettableState } from '@longhold/core/kms'

import type { AuditLog } from './audit-log.ts'
import { insert, update } from './changes.ts'
import type { Change } from './changes.ts'
import { integrityViolation, notFound, ServiceError } from './errors.ts'
import { createVersion } from './identities.ts'
import type { Identities } from './identities.ts'
import { allRows } from './key-store.ts'
import type { Page } from './key-store.ts'
import type { Ledger } from './ledger.ts'
import { keyNotFound, maySee, permissionDenied, requireVisible } from './policy.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import type { KeyRow, RowMark, Stored, VersionRow } from './rows.ts'
import { checkTransition, versionStates } from './states.ts'

/** Names of keys. No upper case, no slash: one spelling each, also in a path. */
export const keyPattern = /^[a-z0-9][a-z0-9._-]{0,63}$/u

const bundleLifeMs = 24 * 60 * 60 * 1000
const maxAttempts = 5
const maxKeysKnown = 256

export interface KeysOptions {
  readonly ledger: Ledger
  readonly root: Root
  readonly identities: Identities
  readonly audit: AuditLog
  readonly now: () => number
}

/** A key, and how often it was changed. */
export type KeySummary = KeyRow & Pick<RowMark, 'generation'>

export interface NewKey {
  readonly key: KeyRow
  readonly version: VersionRow
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
    latestVersion: 1,
    primaryVersion: 1,
    rewrapTo,
    createdAt: now,
    rotatedAt: null,
  }
  return { key: row, version }
}

export function insertKey({ key, version }: NewKey): Change[] {
  return [insert('keys', key), insert('versions', version)]
}

export class Keys {
  readonly #options: KeysOptions
  /** Rotations of one key, one after the other. */
  readonly #rotating = new Map<string, Promise<unknown>>()
  readonly #unwrapping = new Map<string, { generation: number; recipientIds: readonly Uint8Array[] }>()

  constructor(options: KeysOptions) {
    this.#options = options
  }

  /** @throws ServiceError `permission_denied` outside the caller's keys, `not_found`, `invalid_state`. */
  async create(caller: Caller, key: string, rewrapTo: readonly string[]): Promise<KeySummary> {
    const { root, audit, now } = this.#options
    if (!maySee(caller.principal, key)) throw permissionDenied('keys.create')
    // Only keys that are there: a name to come could be taken by anybody.
    for (const target of rewrapTo) await this.get(caller, target)
    const created = newKey(root, key, [...new Set(rewrapTo)], now())
    const event = { action: 'key.create' as const, caller, key, version: 1 }
    const outcome = await audit.commit(event, insertKey(created))
    if (outcome === 'conflict') {
      throw new ServiceError('invalid_state', `there is a key ${key} already, or was one`, {
        hint: 'choose another name: names are never given again',
      })
    }
    return { ...created.key, generation: 1 }
  }

  /** @throws ServiceError `not_found`. */
  async get({ principal }: Caller, key: string): Promise<Stored<KeyRow>> {
    requireVisible(principal, key)
    const row = await this.#options.ledger.row('keys', { key })
    if (row === undefined) throw keyNotFound(key)
    return row
  }

  /** The keys the caller may see, a page at a time. */
  async list({ principal }: Caller, page: Page<string>): Promise<KeySummary[]> {
    const { ledger } = this.#options
    if (principal.keys === null) {
      const after = page.after === undefined ? undefined : { key: page.after }
      return await ledger.rows('keys', { after, limit: page.limit })
    }
    const names = [...new Set(principal.keys)].toSorted().filter((key) => key > (page.after ?? ''))
    const found: KeySummary[] = []
    for (const key of names) {
      const row = await ledger.row('keys', { key })
      if (row !== undefined) found.push(row)
      if (found.length === page.limit) break
    }
    return found
  }

  async versions(caller: Caller, key: string, page: Page<number>): Promise<VersionRow[]> {
    await this.get(caller, key)
    const after = page.after === undefined ? undefined : { key, version: page.after }
    return await this.#options.ledger.rows('versions', { within: { key }, after, limit: page.limit })
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
    const { root, audit, now } = this.#options
    // Other processes may rotate too: each attempt starts from what is there.
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      requireVisible(caller.principal, key)
      const { row, primary } = await this.#withPrimary(key)
      const version = createVersion(root, key, row.latestVersion + 1, now())
      const at = version.createdAt
      const rotated = { latestVersion: version.version, primaryVersion: version.version, rotatedAt: at }
      const outcome = await audit.commit({ action: 'key.rotate', caller, key, version: version.version }, [
        update('keys', row, rotated),
        update('versions', primary, { state: 'unwrap_only', stateChangedAt: at }),
        insert('versions', version),
      ])
      if (outcome === 'done') return { ...row, ...rotated, generation: row.generation + 1 }
    }
    throw new ServiceError('invalid_state', `the key ${key} is being changed by others`, {
      hint: 'try again',
    })
  }

  /** @throws ServiceError `not_found`, `invalid_state` for a transition that is not legal. */
  async setState(caller: Caller, key: string, number: number, to: SettableState): Promise<VersionRow> {
    const { ledger, audit, now } = this.#options
    const row = await this.get(caller, key)
    const version = await ledger.row('versions', { key, version: number })
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
      // The key too has been changed by this: its generation says so.
      [update('keys', row), update('versions', version, { state: to, stateChangedAt: at })],
    )
    if (outcome === 'conflict') {
      throw new ServiceError('invalid_state', `the key ${key} was changed meanwhile`, { hint: 'try again' })
    }
    return { ...version, state: to, stateChangedAt: at }
  }

  /** What a writer needs. The public key is checked against the sealed seed, never taken from the row alone. */
  async publicKey(caller: Caller, key: string): Promise<PublicKey> {
    const { now, identities } = this.#options
    requireVisible(caller.principal, key)
    const { row, primary } = await this.#withPrimary(key)
    const recipientIds = await this.#recipientIds(row)
    const issuedAt = now()
    return {
      key,
      version: primary.version,
      generation: row.generation,
      recipient: identities.get(primary).recipient,
      recipientIds,
      issuedAt,
      notAfter: issuedAt + bundleLifeMs,
    }
  }

  /** The checked public key of the primary version of a key that exists. */
  async primary(key: string): Promise<{ version: number; recipient: PublicKeyRecipient }> {
    const { primary } = await this.#withPrimary(key)
    return { version: primary.version, recipient: this.#options.identities.get(primary).recipient }
  }

  /** @throws ServiceError `not_found`, `integrity_violation` when it has no primary. */
  async #withPrimary(key: string): Promise<{ row: Stored<KeyRow>; primary: Stored<VersionRow> }> {
    const { ledger } = this.#options
    let row = await ledger.row('keys', { key })
    for (;;) {
      if (row === undefined) throw keyNotFound(key)
      const primary = await ledger.row('versions', { key, version: row.primaryVersion })
      if (primary?.state === 'primary') return { row, primary }
      // Rotated between the two reads? Then the key was changed.
      const again: Stored<KeyRow> | undefined = await ledger.row('keys', { key })
      if (again?.generation === row.generation) {
        throw integrityViolation(`the key ${key}, without a primary version,`)
      }
      row = again
    }
  }

  /** Of all versions that can unwrap. Looked up again when the key was changed: it may have ten thousand. */
  async #recipientIds({ key, generation }: Stored<KeyRow>): Promise<readonly Uint8Array[]> {
    const known = this.#unwrapping.get(key)
    if (known?.generation === generation) return known.recipientIds
    const recipientIds: Uint8Array[] = []
    for await (const page of allRows(this.#options.ledger, 'versions', { key })) {
      for (const row of page) if (versionStates[row.state].unwrap) recipientIds.push(row.recipientId)
    }
    this.#unwrapping.delete(key)
    this.#unwrapping.set(key, { generation, recipientIds })
    const [oldest] = this.#unwrapping.keys()
    if (this.#unwrapping.size > maxKeysKnown && oldest !== undefined) this.#unwrapping.delete(oldest)
    return recipientIds
  }
}
