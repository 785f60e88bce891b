/** Keys: made, listed, edited, and what writers need of them. What happens to their versions is in `versions.ts`. */

import type { PublicKeyRecipient } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import type { Change } from './changes.ts'
import { integrityViolation, notFound, ServiceError } from './errors.ts'
import { preconditionFailed, requireGeneration } from './expected-generation.ts'
import { createVersion } from './identities.ts'
import type { Identities } from './identities.ts'
import { changedColumns, loosens, unsaidSettings } from './key-settings.ts'
import type { KeyChanges, KeySettings } from './key-settings.ts'
import { allRows } from './key-store.ts'
import type { Page, RowReads } from './key-store.ts'
import { requireEnabled, requirePurpose } from './key-uses.ts'
import { requireLabels } from './labels.ts'
import { keyNotFound, maySee, mayUse, requireBeside, requireKey, requireName } from './policy.ts'
import type { Caller } from './policy.ts'
import { checking } from './rider.ts'
import type { Root } from './root.ts'
import { startSchedule } from './rotation-schedule.ts'
import type { RotationSchedule } from './rotation-schedule.ts'
import type { KeyRow, Stored, VersionRow } from './rows.ts'
import { requireEnoughSlots } from './slots.ts'
import { unwrappingStates } from './states.ts'
import type { Turns } from './turns.ts'

/** Names of keys. No upper case, no slash: one spelling each, also in a path. */
export const keyPattern = /^[a-z0-9][a-z0-9._-]{0,63}$/u

const bundleLifeMs = 24 * 60 * 60 * 1000
const maxKnownIds = 1000

export interface KeysOptions {
  readonly reads: RowReads
  readonly root: Root
  readonly identities: Identities
  readonly audit: AuditLog
  readonly turns: Turns
  readonly now: () => number
  readonly shortestDestroyWaitMs: number
}

/** A key and the schedule of its rotation. */
export interface KeySummary extends KeyRow {
  readonly generation: number
  readonly schedule: RotationSchedule | null
}

export interface NewKey extends KeySettings {
  readonly key: string
  readonly purpose?: KeyRow['purpose'] | undefined
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

/** Version 1 of a key is its primary; it may do nothing that was not said. */
export function keyRow(
  { key, purpose = 'wrap' }: NewKey,
  { kemId, version, createdAt }: Pick<VersionRow, 'kemId' | 'version' | 'createdAt'>,
): KeyRow {
  return {
    key,
    purpose,
    kemId,
    latestVersion: version,
    primaryVersion: version,
    labels: {},
    ...unsaidSettings,
    exportedAt: null,
    imported: false,
    createdAt,
    rotatedAt: null,
  }
}

/** A key and its version 1. */
export interface FirstVersion {
  readonly key: KeyRow
  readonly version: VersionRow
}

/** A key of which nothing special is said, with version 1. */
export function newKey(root: Root, key: string, now: number): FirstVersion {
  const version = createVersion(root, { key, version: 1, state: 'primary', now })
  return { key: keyRow({ key }, version), version }
}

export class Keys {
  readonly #options: KeysOptions
  /** Ids of versions that unwrap, by key: a key may have ten thousand. */
  readonly #ids = new Map<string, { generation: number; ids: readonly Uint8Array[] }>()

  constructor(options: KeysOptions) {
    this.#options = options
  }

  /** @throws ServiceError `permission_denied` outside the caller's keys, `not_found`, `invalid_state`. */
  async create(caller: Caller, wanted: NewKey): Promise<KeySummary> {
    const { root, now } = this.#options
    await this.checkNew(caller, wanted, 'keys.create')
    const version = createVersion(root, { key: wanted.key, version: 1, state: 'primary', now: now() })
    return await this.add(caller, wanted, keyRow(wanted, version), [version], 'key.create')
  }

  /** Whether the caller may make this key, and there can be one of its name. */
  async checkNew(caller: Caller, wanted: NewKey, permission: 'keys.create' | 'keys.import'): Promise<void> {
    const { reads } = this.#options
    const { key, labels } = wanted
    const subject = { key, labels: labels ?? {} }
    requireName(caller, permission, key)
    if (labels !== undefined) await requireLabels(reads, caller, { key, labels: {} }, labels)
    if (loosens(wanted, unsaidSettings)) requireBeside(caller, 'keys.policy', subject)
    await requireEnoughSlots(reads)
    await this.#checkTargets(caller, wanted.rewrapTo ?? [])
    await this.#requireNoAlias(key)
  }

  /** Makes a key of a row and versions that are not there yet. */
  async add(
    caller: Caller,
    wanted: NewKey,
    bare: KeyRow,
    versions: readonly VersionRow[],
    action: 'key.create' | 'key.import',
  ): Promise<KeySummary> {
    const { audit, now, shortestDestroyWaitMs } = this.#options
    const row = { ...bare, ...changedColumns(wanted, bare, shortestDestroyWaitMs) }
    const { key } = row
    const schedule = wanted.rotateEveryMs == null ? null : startSchedule(wanted.rotateEveryMs, now())
    const changes: Change[] = [
      insert('keys', row),
      ...versions.map((version) => insert('versions', version)),
      ...(schedule === null ? [] : [insert('schedules', { key, ...schedule })]),
    ]
    const { key: _key, purpose: _purpose, ...settings } = wanted
    const making = checking(caller, () => this.#requireNoAlias(key))
    const event = { action, caller: making, key, version: row.primaryVersion, purpose: row.purpose, settings }
    if ((await audit.commit(event, changes)) === 'conflict') {
      throw new ServiceError('invalid_state', `there is a key ${key} already, or was one`, {
        hint: 'choose another name: names are never given again',
      })
    }
    return { ...row, generation: 1, schedule }
  }

  /** @throws ServiceError `not_found`. */
  async get(caller: Caller, key: string): Promise<KeySummary> {
    return await this.#summary(await this.row(caller, key))
  }

  /** @throws ServiceError `not_found`, `permission_denied`. */
  async row(caller: Caller, key: string): Promise<Stored<KeyRow>> {
    const row = await this.#options.reads.row('keys', { key })
    if (row === undefined) throw keyNotFound(key)
    requireKey(caller, row)
    return row
  }

  /** The key of that name, or the one that the alias of that name stands for: for writers only. */
  async resolve(caller: Caller, name: string): Promise<Stored<KeyRow>> {
    const { reads } = this.#options
    let row = await reads.row('keys', { key: name })
    if (row === undefined) {
      const alias = await reads.row('aliases', { alias: name })
      row = alias && (await reads.row('keys', { key: alias.key }))
    }
    if (row === undefined || !maySee(caller.principal, row.key, row.labels)) throw keyNotFound(name)
    requireKey(caller, row)
    return row
  }

  /** The keys the caller may list, a page at a time: what is said of them is more than that they are there. */
  async list({ principal }: Caller, { after, limit }: Page<string>): Promise<KeySummary[]> {
    const { reads } = this.#options
    const found: Stored<KeyRow>[] = []
    let from = after
    for (;;) {
      const page = { after: from === undefined ? undefined : { key: from }, limit }
      const rows = await reads.rows('keys', page)
      found.push(...rows.filter((row) => mayUse(principal, 'keys.list', row)))
      from = rows.at(-1)?.key
      if (rows.length < limit || found.length >= limit) break
    }
    return await Promise.all(found.slice(0, limit).map((row) => this.#summary(row)))
  }

  /**
   * @param expected The generation it was read in.
   * @throws ServiceError `precondition_failed`, `not_found`, `permission_denied`, `invalid_state`.
   */
  async update(caller: Caller, key: string, expected: number, wanted: KeyChanges): Promise<KeySummary> {
    return await this.#options.turns.take(key, () => this.#update(caller, key, expected, wanted))
  }

  async #update(caller: Caller, key: string, expected: number, wanted: KeyChanges): Promise<KeySummary> {
    const { reads, audit, now, shortestDestroyWaitMs } = this.#options
    const row = await this.row(caller, key)
    requireGeneration(`the key ${key}`, row.generation, expected)
    if (wanted.labels !== undefined) await requireLabels(reads, caller, row, wanted.labels)
    if (loosens(wanted, row)) requireBeside(caller, 'keys.policy', row)
    await this.#checkTargets(caller, wanted.rewrapTo ?? [])
    if (Object.values(wanted).every((value) => value === undefined)) {
      throw new ServiceError('malformed_request', 'nothing is to be changed')
    }
    const columns = changedColumns(wanted, row, shortestDestroyWaitMs)
    const changes: Change[] = [update('keys', row, columns)]
    const stored = await reads.row('schedules', { key })
    let schedule: RotationSchedule | null = stored ?? null
    if (wanted.rotateEveryMs !== undefined) {
      schedule = wanted.rotateEveryMs === null ? null : startSchedule(wanted.rotateEveryMs, now())
      if (stored !== undefined && schedule !== null) changes.push(update('schedules', stored, schedule))
      if (stored === undefined && schedule !== null) changes.push(insert('schedules', { key, ...schedule }))
      if (stored !== undefined && schedule === null) changes.push(remove('schedules', stored))
    }
    const event = { action: 'key.update' as const, caller, key, settings: wanted }
    if ((await audit.commit(event, changes)) === 'conflict') throw preconditionFailed(`the key ${key}`)
    return { ...row, ...columns, generation: row.generation + 1, schedule }
  }

  /** What a writer needs. The public key is checked against the sealed seed, never taken from the row alone. */
  async publicKey(caller: Caller, name: string, purpose: KeyRow['purpose'] = 'wrap'): Promise<PublicKey> {
    const resolved = await this.resolve(caller, name)
    // Data keys wrapped for a key that only decapsulates would be lost.
    requirePurpose(resolved, purpose)
    const { row, version, recipient } = await this.primary(resolved.key)
    const recipientIds = await this.#recipientIds(row)
    const issuedAt = this.#options.now()
    const { key, generation } = row
    return { key, version, generation, recipient, recipientIds, issuedAt, notAfter: issuedAt + bundleLifeMs }
  }

  /**
   * The checked public key of the primary version of a key that exists.
   *
   * @throws ServiceError `not_found`, `invalid_state` when it is not enabled, `integrity_violation` without a primary.
   */
  async primary(
    key: string,
  ): Promise<{ row: Stored<KeyRow>; version: number; recipient: PublicKeyRecipient }> {
    const { reads, identities } = this.#options
    let row = await reads.row('keys', { key })
    for (;;) {
      if (row === undefined) throw keyNotFound(key)
      requireEnabled(row)
      const primary = await reads.row('versions', { key, version: row.primaryVersion })
      if (primary?.state === 'primary') {
        return { row, version: primary.version, recipient: identities.get(primary).recipient }
      }
      // Rotated between the two reads? Then the key was changed.
      const again: Stored<KeyRow> | undefined = await reads.row('keys', { key })
      if (again?.generation === row.generation) {
        throw integrityViolation(`the key ${key}, without a primary version,`)
      }
      row = again
    }
  }

  async #recipientIds({ key, generation }: Stored<KeyRow>): Promise<readonly Uint8Array[]> {
    const known = this.#ids.get(key)
    // Every change of a version is a new generation of its key.
    if (known?.generation === generation) return known.ids
    const ids: Uint8Array[] = []
    for await (const page of allRows(this.#options.reads, 'versions', { key })) {
      for (const { state, recipientId } of page) if (unwrappingStates.includes(state)) ids.push(recipientId)
    }
    this.#ids.delete(key)
    this.#ids.set(key, { generation, ids })
    const [oldest] = this.#ids.keys()
    if (this.#ids.size > maxKnownIds && oldest !== undefined) this.#ids.delete(oldest)
    return ids
  }

  async #summary(row: Stored<KeyRow>): Promise<KeySummary> {
    const schedule = await this.#options.reads.row('schedules', { key: row.key })
    return { ...row, schedule: schedule ?? null }
  }

  async #requireNoAlias(name: string): Promise<void> {
    if ((await this.#options.reads.row('aliases', { alias: name })) === undefined) return
    throw new ServiceError('invalid_state', `${name} is an alias`, { hint: 'choose another name' })
  }

  /** Only keys that are there: a name to come could be taken by anybody. */
  async #checkTargets(caller: Caller, targets: readonly string[]): Promise<void> {
    const { reads } = this.#options
    for (const key of targets) {
      const row = await reads.row('keys', { key })
      if (row === undefined || !maySee(caller.principal, key, row.labels)) throw keyNotFound(key)
    }
  }
}

export function versionNotFound(key: string, version: number): ServiceError {
  return notFound(`version ${version} of the key ${key}`)
}
