/** Principals and their grants: who there is, and what he may do beyond what a token of his says. */

import { randomBytes } from 'node:crypto'

import { toHex } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import type { Layer, NamedRule } from './authority.ts'
import { insert, remove, update } from './changes.ts'
import { covers } from './delegation.ts'
import { notFound, ServiceError } from './errors.ts'
import { everyRow } from './key-store.ts'
import type { Page } from './key-store.ts'
import type { Ledger } from './ledger.ts'
import type { Caller } from './policy.ts'
import type { GrantRow, PrincipalRow, Stored } from './rows.ts'
import { checkRule } from './rule.ts'
import type { Rule } from './rule.ts'

/** Of one principal: all of them are read with each of its requests. */
const maxGrants = 256

export interface GrantsOptions {
  readonly ledger: Ledger
  readonly audit: AuditLog
  readonly now: () => number
}

export interface NewGrant extends Rule {
  readonly principal: string
  /** How many requests it allows; null: any number. */
  readonly uses: number | null
}

export class Grants {
  readonly #options: GrantsOptions
  /** By this process, and not switched on since. */
  readonly #disabled = new Set<string>()

  constructor(options: GrantsOptions) {
    this.#options = options
  }

  /** @throws ServiceError `invalid_state` for a name that was given before. */
  async createPrincipal(
    caller: Caller,
    principal: string,
    description: string,
  ): Promise<Stored<PrincipalRow>> {
    const { audit, now } = this.#options
    const row: PrincipalRow = {
      principal,
      description,
      disabledAt: null,
      createdAt: now(),
      createdBy: caller.principal.token,
    }
    const event = { action: 'principal.create' as const, caller, subject: principal }
    if ((await audit.commit(event, [insert('principals', row)])) === 'conflict') {
      throw new ServiceError('invalid_state', `there is a principal ${principal} already`, {
        hint: 'choose another name: names are never given again',
      })
    }
    return { ...row, generation: 1, mac: new Uint8Array() }
  }

  /** @throws ServiceError `not_found`. */
  async principal(principal: string): Promise<Stored<PrincipalRow>> {
    const row = await this.#options.ledger.row('principals', { principal })
    if (row === undefined) throw notFound(`the principal ${principal}`)
    return row
  }

  async principals({ after, limit }: Page<string>): Promise<Stored<PrincipalRow>[]> {
    const from = after === undefined ? undefined : { principal: after }
    return await this.#options.ledger.rows('principals', { after: from, limit })
  }

  /**
   * Switches a principal off, with all its tokens at once, or on again. Only who holds all that its grants allow may
   * switch it on.
   *
   * @throws ServiceError `not_found`, `permission_denied`, `invalid_state`.
   */
  async setDisabled(caller: Caller, principal: string, isDisabled: boolean): Promise<Stored<PrincipalRow>> {
    const { audit, now } = this.#options
    const row = await this.principal(principal)
    if ((row.disabledAt !== null) === isDisabled) return row
    if (!isDisabled) {
      const grants = await this.of(principal)
      if (!grants.every((grant) => mayHandOn(caller, grant))) throw beyondHeld()
    }
    const disabledAt = isDisabled ? now() : null
    const action = isDisabled ? ('principal.disable' as const) : ('principal.enable' as const)
    const outcome = await audit.commit({ action, caller, subject: principal }, [
      update('principals', row, { disabledAt }),
    ])
    if (outcome === 'conflict') throw changedMeanwhile(`the principal ${principal}`)
    if (caller.isDryRun !== true) {
      if (isDisabled) this.#disabled.add(principal)
      else this.#disabled.delete(principal)
    }
    return { ...row, disabledAt, generation: row.generation + 1 }
  }

  /** Whether this process switched it off: without a look at the database, which may know better. */
  isKnownDisabled(principal: string): boolean {
    return this.#disabled.has(principal)
  }

  /**
   * Gives a principal a rule.
   *
   * @throws ServiceError `malformed_request`, `not_found`, `limit_exceeded`; `permission_denied` for more than the
   * caller holds, or more than he may hand on.
   */
  async create(caller: Caller, wanted: NewGrant): Promise<Stored<GrantRow>> {
    const { audit, now } = this.#options
    const { principal, uses, ...rule } = wanted
    checkRule(rule)
    if (rule.notAfter !== null && rule.notAfter <= now()) {
      throw new ServiceError('malformed_request', 'the end of the grant is in the past')
    }
    if (rule.effect === 'deny' && uses !== null) {
      throw new ServiceError('malformed_request', 'a denial has no number of uses', {
        hint: 'leave uses out, or set not_after',
      })
    }
    await this.principal(principal)
    if (!mayHandOn(caller, rule)) throw beyondHeld()
    if ((await this.of(principal)).length >= maxGrants) {
      throw new ServiceError(
        'invalid_state',
        `${principal} has ${maxGrants} grants, which is as many as there may be`,
        {
          hint: 'delete some, or put several permissions or keys into one',
        },
      )
    }
    const row: GrantRow = {
      principal,
      grant: toHex(randomBytes(12)),
      ...rule,
      usesLeft: uses,
      createdAt: now(),
      createdBy: caller.principal.token,
    }
    const { permissions, keys } = rule
    const event = { action: 'grant.create' as const, caller, subject: principal, grant: row.grant }
    const outcome = await audit.commit({ ...event, permissions, keys, rule }, [insert('grants', row)])
    if (outcome === 'conflict') throw changedMeanwhile('the grants') // twelve random bytes that were there before
    return { ...row, generation: 1, mac: new Uint8Array() }
  }

  /** @throws ServiceError `not_found`. */
  async page(principal: string, { after, limit }: Page<string>): Promise<Stored<GrantRow>[]> {
    await this.principal(principal)
    const from = after === undefined ? undefined : { principal, grant: after }
    return await this.#options.ledger.rows('grants', { within: { principal }, after: from, limit })
  }

  /** All of a principal. */
  async of(principal: string): Promise<Stored<GrantRow>[]> {
    return await everyRow(this.#options.ledger, 'grants', { principal })
  }

  /**
   * Takes a rule away. A denial goes only by the hand of who holds what it denies.
   *
   * @throws ServiceError `not_found`, `permission_denied`, `invalid_state`.
   */
  async remove(caller: Caller, principal: string, grant: string): Promise<void> {
    const { ledger, audit } = this.#options
    const row = await ledger.row('grants', { principal, grant })
    if (row === undefined) throw notFound(`the grant ${grant} of ${principal}`)
    if (row.effect === 'deny' && !mayHandOn(caller, row)) throw beyondHeld()
    const event = { action: 'grant.delete' as const, caller, subject: principal, grant, rule: row }
    if ((await audit.commit(event, [remove('grants', row)])) === 'conflict')
      throw changedMeanwhile('the grant')
  }

  /**
   * The rules that a principal adds to a token: `undefined` when it is there no longer, or switched off.
   *
   * @throws ServiceError `integrity_violation`, `storage_unavailable`.
   */
  async layer(principal: string): Promise<Layer | undefined> {
    const row = await this.#options.ledger.row('principals', { principal })
    if (row === undefined || row.disabledAt !== null) return undefined
    return (await this.of(principal)).filter(({ usesLeft }) => usesLeft !== 0).map(ruleOf)
  }
}

export function ruleOf({ grant, usesLeft, ...rule }: GrantRow): NamedRule {
  return { ...rule, name: grant, isLimited: usesLeft !== null }
}

/** Whether the caller holds all that the rule says, and without a count of uses. */
export function mayHandOn({ principal }: Caller, rule: Rule): boolean {
  const lasting = principal.authority.map((layer) =>
    layer.filter(({ effect, isLimited }) => effect === 'deny' || isLimited !== true),
  )
  return covers(lasting, { ...rule, effect: 'allow' })
}

function beyondHeld(): ServiceError {
  return new ServiceError('permission_denied', 'nobody hands on what he does not hold', {
    hint: 'ask for fewer permissions, keys, networks and contexts, or for a shorter time',
  })
}

function changedMeanwhile(what: string): ServiceError {
  return new ServiceError('invalid_state', `${what} changed meanwhile`, { hint: 'read and try again' })
}
