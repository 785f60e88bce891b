/** Versions of keys: made, activated, switched off, marked as compromised, destroyed and brought back (`states.ts`). */

import type { SettableState } from '@longhold/core/kms'

import type { AuditEvent } from './audit-entry.ts'
import type { AuditLog } from './audit-log.ts'
import { insert, remove, update } from './changes.ts'
import type { Change } from './changes.ts'
import { integrityViolation, ServiceError } from './errors.ts'
import { requireGeneration } from './expected-generation.ts'
import { createVersion } from './identities.ts'
import type { Identities } from './identities.ts'
import type { Page, RowReads } from './key-store.ts'
import { versionNotFound } from './keys.ts'
import type { Keys, KeySummary } from './keys.ts'
import type { Caller } from './policy.ts'
import type { Root } from './root.ts'
import { afterRotation, afterTick, isDue } from './rotation-schedule.ts'
import type { KeyRow, ScheduleRow, Stored, VersionRow } from './rows.ts'
import { checkTransition } from './states.ts'
import type { Timekeeper } from './timekeeper.ts'
import type { Turns } from './turns.ts'

/** A node that is busy with the same key is ahead of others each time, as long as it has more to do. */
const maxAttempts = 100
const maxPauseMs = 20

export interface VersionsOptions {
  readonly reads: RowReads
  readonly root: Root
  readonly identities: Identities
  readonly audit: AuditLog
  readonly keys: Keys
  readonly time: Timekeeper
  readonly turns: Turns
}

/** One change of a key: what is written and what is said of it; nothing where nothing is to be changed. */
interface Step<R> {
  readonly write?: { readonly event: AuditEvent; readonly changes: readonly Change[] }
  readonly result: R
}

/** A key as it is, and what a change of its versions starts from. */
interface Before {
  readonly row: Stored<KeyRow>
  readonly at: number
}

interface Rotation {
  readonly caller?: Caller
  readonly activate: 'now' | 'pending'
  readonly isScheduled?: boolean
}

export class Versions {
  readonly #options: VersionsOptions

  constructor(options: VersionsOptions) {
    this.#options = options
  }

  /** Ascending. */
  async list(caller: Caller, key: string, { after, limit }: Page<number>): Promise<VersionRow[]> {
    const { keys, reads } = this.#options
    await keys.row(caller, key)
    const from = after === undefined ? undefined : { key, version: after }
    return await reads.rows('versions', { within: { key }, after: from, limit })
  }

  /** @throws ServiceError `not_found`. */
  async get(caller: Caller, key: string, version: number): Promise<VersionRow> {
    await this.#options.keys.row(caller, key)
    return await this.#version(key, version)
  }

  /**
   * A new version becomes primary and the old one goes on unwrapping; or it is made, and waits.
   *
   * @param expected The generation of the key it was decided in, if it matters.
   */
  async rotate(
    caller: Caller,
    key: string,
    activate: 'now' | 'pending' = 'now',
    expected?: number,
  ): Promise<KeySummary> {
    return await this.#change(key, async (at) => {
      const row = await this.#row(caller, key, expected)
      return await this.#rotation({ row, at }, { caller, activate })
    })
  }

  /**
   * @param expected As for `rotate`.
   * @throws ServiceError `not_found`, `invalid_state` for a transition that is not legal, `precondition_failed`.
   */
  async setState(
    caller: Caller,
    key: string,
    number: number,
    to: SettableState,
    expected?: number,
  ): Promise<VersionRow> {
    return await this.#change(key, async (at) => {
      const row = await this.#row(caller, key, expected)
      const version = await this.#version(key, number)
      if (version.state === to) return { result: version }
      return await this.#transition({ row, at }, version, to, caller)
    })
  }

  /**
   * Begins the waiting period of a destruction.
   *
   * @param expected The generation of the key it was decided in.
   */
  async destroy(caller: Caller, key: string, number: number, expected: number): Promise<VersionRow> {
    return await this.#change(key, async (at) => {
      const row = await this.#row(caller, key, expected)
      const version = await this.#version(key, number)
      const from = version.state
      checkTransition(from, 'destroy_scheduled')
      const destroyAt = at + row.destroyAfterMs
      const event = { action: 'version.destroy' as const, caller, key, version: number, from, destroyAt }
      return step(event, version, { state: 'destroy_scheduled', destroyAt, stateChangedAt: at }, [
        update('keys', row),
        insert('destructions', { key, version: number, destroyAt }),
      ])
    })
  }

  /**
   * Calls a destruction off.
   *
   * @param expected As for `rotate`.
   */
  async restore(caller: Caller, key: string, number: number, expected?: number): Promise<VersionRow> {
    const { reads } = this.#options
    return await this.#change(key, async (at) => {
      const row = await this.#row(caller, key, expected)
      const version = await this.#version(key, number)
      const scheduled = await reads.row('destructions', { key, version: number })
      if (version.state !== 'destroy_scheduled' || scheduled === undefined) {
        const what = `version ${number} of ${key} is ${version.state}`
        throw new ServiceError('invalid_state', `${what}: there is no destruction to call off`)
      }
      const event = { action: 'version.restore' as const, caller, key, version: number }
      return step(event, version, { state: 'disabled', destroyAt: null, stateChangedAt: at }, [
        update('keys', row),
        remove('destructions', scheduled),
      ])
    })
  }

  /** Overwrites the seed of a version whose waiting period has ended; the rest of its row stays for ever. */
  async destroyEnded(key: string, number: number): Promise<boolean> {
    const { reads, identities, time } = this.#options
    const isDestroyed = await this.#change(key, async (at) => {
      const row = await this.#existing(key)
      const version = await this.#version(key, number)
      const scheduled = await reads.row('destructions', { key, version: number })
      // Called off meanwhile, or done by another node.
      if (version.state !== 'destroy_scheduled' || scheduled === undefined) return { result: false }
      if (!(await time.hasEnded(scheduled.destroyAt))) return { result: false }
      const event = { action: 'version.destroyed' as const, key, version: number }
      const gone = { state: 'destroyed' as const, sealedSeed: new Uint8Array(0), stateChangedAt: at }
      const { write } = step(event, version, gone, [update('keys', row), remove('destructions', scheduled)])
      return { write, result: true }
    })
    if (isDestroyed) identities.forget(key, number)
    return isDestroyed
  }

  /** Rotates a key whose tick has come: once, however many were missed. */
  async rotateDue(key: string): Promise<boolean> {
    const { reads } = this.#options
    return await this.#change(key, async (at): Promise<Step<boolean>> => {
      const row = await this.#existing(key)
      const schedule = await reads.row('schedules', { key })
      if (schedule === undefined || !row.enabled || !isDue(schedule, at)) return { result: false }
      return { ...(await this.#rotation({ row, at }, { activate: 'now', isScheduled: true })), result: true }
    })
  }

  async #rotation(
    { row, at }: Before,
    { caller, activate, isScheduled = false }: Rotation,
  ): Promise<Step<KeySummary>> {
    const { key, latestVersion, primaryVersion, generation } = row
    const schedule = await this.#schedule(key)
    const version = latestVersion + 1
    const to = activate === 'now' ? ('primary' as const) : ('pending' as const)
    const event = { action: 'key.rotate' as const, caller, key, version, to }
    const made = insert('versions', this.#create(key, version, to, at))
    if (to === 'pending') {
      const changed = { latestVersion: version }
      const result = { ...row, ...changed, generation: generation + 1, schedule: schedule ?? null }
      return { write: { event, changes: [made, update('keys', row, changed)] }, result }
    }
    const old = await this.#version(key, primaryVersion)
    const next = schedule && (isScheduled ? afterTick : afterRotation)(schedule, at)
    const changed = { latestVersion: version, primaryVersion: version, rotatedAt: at }
    const changes = [
      // Before the new one: there is never a second primary, not even within a transaction.
      update('versions', old, { state: 'unwrap_only', stateChangedAt: at }),
      made,
      update('keys', row, changed),
      ...(schedule === undefined ? [] : [update('schedules', schedule, next)]),
    ]
    const result = { ...row, ...changed, generation: generation + 1, schedule: next ?? null }
    return { write: { event, changes }, result }
  }

  async #transition(
    { row, at }: Before,
    version: Stored<VersionRow>,
    to: SettableState,
    caller: Caller,
  ): Promise<Step<VersionRow>> {
    const { key, version: number, state: from } = version
    checkTransition(from, to)
    if (from === 'destroy_scheduled') {
      throw new ServiceError('invalid_state', `version ${number} of ${key} is to be destroyed`, {
        hint: 'call that off first: restore the version',
      })
    }
    if (from === 'primary' && to !== 'compromised') {
      throw new ServiceError('invalid_state', `version ${number} is the primary of ${key}`, {
        hint: 'rotate the key first: the old primary becomes unwrap_only by that',
      })
    }
    if (version.compromisedAt !== null && to !== 'compromised') {
      throw new ServiceError('invalid_state', `version ${number} of ${key} was compromised and stays so`, {
        hint: 'set it to compromised to rewrap from it, or destroy it',
      })
    }
    const event = { action: 'version.update' as const, caller, key, version: number, from, to }
    const changed = {
      state: to,
      stateChangedAt: at,
      ...(to === 'compromised' ? { compromisedAt: at } : {}),
    }
    if (to !== 'primary' && from !== 'primary') return step(event, version, changed, [update('keys', row)])

    const schedule = await this.#schedule(key)
    const rescheduled =
      schedule === undefined ? [] : [update('schedules', schedule, afterRotation(schedule, at))]
    if (to === 'primary') {
      if (number < row.minUnwrapVersion) {
        throw new ServiceError(
          'invalid_state',
          `versions of ${key} below ${row.minUnwrapVersion} do not unwrap`,
        )
      }
      const old = await this.#version(key, row.primaryVersion)
      const { write, result } = step(event, version, changed, [
        update('keys', row, { primaryVersion: number, rotatedAt: at }),
        ...rescheduled,
      ])
      const leaves = update('versions', old, { state: 'unwrap_only', stateChangedAt: at })
      return { write: { event, changes: [leaves, ...write.changes] }, result }
    }
    // Writers must have somewhere to go in the same moment.
    const primary = row.latestVersion + 1
    return step({ ...event, primary }, version, changed, [
      insert('versions', this.#create(key, primary, 'primary', at)),
      update('keys', row, { latestVersion: primary, primaryVersion: primary, rotatedAt: at }),
      ...rescheduled,
    ])
  }

  /**
   * Makes the change that `plan` decides on. Other processes may change the key too: each attempt starts from what is
   * there.
   */
  async #change<R>(key: string, plan: (at: number) => Promise<Step<R>>): Promise<R> {
    const { turns, audit, time } = this.#options
    return await turns.take(key, async () => {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const { write, result } = await plan(await time.latest())
        if (write === undefined) return result
        if ((await audit.commit(write.event, write.changes)) === 'done') return result
        const pauseMs = Math.random() * Math.min(attempt, maxPauseMs)
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
      throw new ServiceError('invalid_state', `the key ${key} is being changed by others`, {
        hint: 'try again',
      })
    })
  }

  #create(key: string, version: number, state: 'primary' | 'pending', now: number): VersionRow {
    return createVersion(this.#options.root, { key, version, state, now })
  }

  /** The key as it is, if that is how it was when the change was decided. */
  async #row(caller: Caller, key: string, expected: number | undefined): Promise<Stored<KeyRow>> {
    const row = await this.#options.keys.row(caller, key)
    requireGeneration(`the key ${key}`, row.generation, expected)
    return row
  }

  async #version(key: string, version: number): Promise<Stored<VersionRow>> {
    const row = await this.#options.reads.row('versions', { key, version })
    if (row === undefined) throw versionNotFound(key, version)
    return row
  }

  async #schedule(key: string): Promise<Stored<ScheduleRow> | undefined> {
    return await this.#options.reads.row('schedules', { key })
  }

  async #existing(key: string): Promise<Stored<KeyRow>> {
    const row = await this.#options.reads.row('keys', { key })
    if (row === undefined) throw integrityViolation(`what is kept for the key ${key}, which is not there,`)
    return row
  }
}

/** The change of a version, first: a primary leaves its place before another takes it. */
function step(
  event: AuditEvent,
  version: Stored<VersionRow>,
  changed: Partial<VersionRow>,
  others: readonly Change[],
): Required<Step<VersionRow>> {
  const changes = [update('versions', version, changed), ...others]
  return { write: { event, changes }, result: { ...version, ...changed } }
}
