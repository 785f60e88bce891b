/** Tokens: `lhk_<id>_<secret>`, looked up by id, compared in constant time, kept as an HMAC under the pepper. */

import { randomBytes, timingSafeEqual } from 'node:crypto'

import { toBase64url, toHex } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import type { AuditLog } from './audit-log.ts'
import type { Authority, NamedRule } from './authority.ts'
import { insert, update } from './changes.ts'
import { notFound, ServiceError, unauthenticated } from './errors.ts'
import { framed } from './framing.ts'
import { mayHandOn } from './grants.ts'
import type { Grants } from './grants.ts'
import { hmacSha256 } from './hmac.ts'
import type { Page } from './key-store.ts'
import { KnownSecrets } from './known-secrets.ts'
import type { Ledger } from './ledger.ts'
import type { OwnKey, OwnKeys } from './own-keys.ts'
import type { Caller, Principal } from './policy.ts'
import type { TokenRow } from './rows.ts'
import { networkOf } from './rule.ts'
import { Tab } from './tab.ts'
import { madeWith, Maker } from './token-descent.ts'

const tokenPattern = /^lhk_([0-9a-f]{24})_([A-Za-z0-9_-]{43})$/u
const noMac = new Uint8Array(32)
/** What another node changed is seen after this. */
const freshMs = 100
/** In one transaction. */
const maxRevoked = 500
const maxAttempts = 20
/** Of the token that a service in production begins with: it makes one other token, and ends with that. */
export const bootstrapLifeMs: number = 60 * 60 * 1000

export interface NewToken {
  readonly name: string
  /** Whose it is: what it may do is then what both it and the principal's grants allow. */
  readonly principal: string | null
  readonly permissions: readonly Permission[]
  readonly keys: readonly string[] | null
  readonly expiresAt: number | null
}

export interface TokensOptions {
  readonly ledger: Ledger
  readonly grants: Grants
  readonly ownKeys: OwnKeys
  readonly audit: AuditLog
  readonly now: () => number
}

/** A new token: its row, and the text that is shown once. */
export function makeToken(
  pepper: OwnKey,
  { name, principal, permissions, keys, expiresAt }: NewToken,
  { createdBy, now }: { createdBy: string | null; now: number },
): { row: TokenRow; text: string } {
  const id = toHex(randomBytes(12))
  const secret = toBase64url(randomBytes(32))
  const row = {
    token: id,
    name,
    principal,
    secretMac: tokenMac(pepper, id, secret),
    pepperVersion: pepper.version,
    permissions: [...new Set(permissions)],
    keys: keys && [...new Set(keys)],
    createdAt: now,
    expiresAt,
    revokedAt: null,
    createdBy,
  }
  return { row, text: `lhk_${id}_${secret}` }
}

export class Tokens {
  readonly #options: TokensOptions
  /** Since this process began. */
  readonly #revoked = new Set<string>()
  readonly #secrets = new KnownSecrets()

  constructor(options: TokensOptions) {
    this.#options = options
  }

  /**
   * Who holds this token, and what he may do from there.
   *
   * @throws ServiceError `unauthenticated`, the same for every cause.
   */
  async authenticate(text: string | undefined, address?: string): Promise<Principal> {
    const { ledger, ownKeys, now } = this.#options
    const [, id = '', secret = ''] = tokenPattern.exec(text ?? '') ?? []
    if (id !== '') ledger.look()
    const row = id === '' ? undefined : await ledger.row('tokens', { token: id })
    // The same work whether or not the id exists.
    const pepper = ownKeys.version('token-pepper', row?.pepperVersion ?? 0) ?? ownKeys.newest('token-pepper')
    const expected = row?.secretMac.length === 32 ? row.secretMac : noMac
    const isRight = this.#secrets.check(id, secret, row?.secretMac, () =>
      timingSafeEqual(tokenMac(pepper, id, secret), expected),
    )
    const at = now()
    if (row === undefined || !isRight || row.revokedAt !== null || hasExpired(row, at)) {
      throw unauthenticated()
    }
    return {
      token: id,
      name: row.principal,
      authority: await this.authorityOf(row),
      address,
      at,
      expiresAt: row.expiresAt,
      tab: new Tab(ledger, row.principal),
    }
  }

  /** Without the service's own keys there is nobody to authenticate any more. */
  close(): void {
    this.#secrets.forget()
  }

  /**
   * What a token may do: its own rule, and the grants of its principal.
   *
   * @throws ServiceError `unauthenticated` when the principal is switched off.
   */
  async authorityOf(row: TokenRow): Promise<Authority> {
    if (isBootstrap(row)) return [[{ ...ruleOf(row), permissions: ['tokens.create'] }]]
    if (row.principal === null) return [[ruleOf(row)]]
    const layer = await this.#options.grants.layer(row.principal)
    if (layer === undefined) throw unauthenticated()
    return [[ruleOf(row)], layer]
  }

  /**
   * Whether a token that was accepted still is, once the body is there: that can be on its way for half a minute.
   *
   * @returns Who holds it, as of now where that took a while.
   * @throws ServiceError `unauthenticated`.
   */
  async confirm(principal: Principal): Promise<Principal> {
    const { ledger, grants, now } = this.#options
    const at = now()
    const { token, name } = principal
    if (this.#revoked.has(token) || hasExpired(principal, at)) throw unauthenticated()
    if (name !== null && grants.isKnownDisabled(name)) throw unauthenticated()
    if (Math.abs(at - principal.at) <= freshMs) return principal
    const row = await ledger.row('tokens', { token })
    if (row === undefined || row.revokedAt !== null) throw unauthenticated()
    return { ...principal, authority: await this.authorityOf(row), at }
  }

  /** @throws ServiceError `permission_denied` when the caller would hand on what he does not hold; `not_found`. */
  async create(caller: Caller, wanted: NewToken): Promise<{ row: TokenRow; text: string }> {
    const { ledger, ownKeys, grants, audit, now } = this.#options
    if (wanted.expiresAt !== null && wanted.expiresAt <= now()) {
      throw new ServiceError('malformed_request', 'the end of the token is in the past')
    }
    if (wanted.principal !== null) await grants.principal(wanted.principal)
    else if (caller.principal.name !== null) throw outlivesPrincipal(caller.principal.name)
    const own = await ledger.row('tokens', { token: caller.principal.token })
    if (own === undefined || own.revokedAt !== null) throw unauthenticated()
    const holder = isBootstrap(own) ? unbounded(caller, own) : forPrincipal(caller, wanted.principal)
    if (!mayHandOn(holder, ruleOf({ ...wanted, token: '' }))) {
      throw new ServiceError('permission_denied', 'a token hands on only what it holds, and for no longer', {
        hint: 'ask for fewer permissions, for keys this token may see, and for an earlier end',
      })
    }
    const made = makeToken(ownKeys.newest('token-pepper'), wanted, { createdBy: own.token, now: now() })
    const { token, permissions, keys, expiresAt } = made.row
    const maker = new Maker(ledger, own.token, isBootstrap(own) ? now() : null)
    const outcome = await audit.commit(
      {
        action: 'token.create',
        caller: { ...caller, riders: [...(caller.riders ?? []), maker] },
        token,
        subject: wanted.principal ?? undefined,
        permissions,
        keys,
        expiresAt,
      },
      [insert('tokens', made.row)],
    )
    // Twelve random bytes that were there before.
    if (outcome === 'conflict') throw new ServiceError('invalid_state', 'try again')
    if (isBootstrap(own) && caller.isDryRun !== true) this.#revoked.add(own.token)
    return made
  }

  /** The tokens whose rights the caller holds too, a page at a time. */
  async list(caller: Caller, page: Page<string>): Promise<TokenRow[]> {
    const found: TokenRow[] = []
    let { after } = page
    for (;;) {
      const rows = await this.#options.ledger.rows('tokens', {
        after: after === undefined ? undefined : { token: after },
        limit: page.limit,
      })
      found.push(...rows.filter((row) => coversNow(caller, row)))
      after = rows.at(-1)?.token
      if (rows.length < page.limit || found.length >= page.limit) return found.slice(0, page.limit)
    }
  }

  /**
   * Revokes a token, and with it all that were made with it, and with those: whoever had it may have made some. Those
   * that the caller's own token made stay, and it, too.
   *
   * @param isAlone Leaves those that were made with it.
   * @returns Those besides it, the nearest first.
   * @throws ServiceError `not_found` also for a token the caller does not cover; `invalid_state` when there is nothing
   * left to revoke.
   */
  async revoke(caller: Caller, token: string, { isAlone = false } = {}): Promise<{ descendants: string[] }> {
    const descendants: string[] = []
    for (let attempt = 0, isDone = false; attempt < maxAttempts; attempt++) {
      const { ledger, audit, now } = this.#options
      const row = await ledger.row('tokens', { token })
      if (row === undefined || !coversNow(caller, row)) throw notFound('the token')
      const heirs = isAlone || isBootstrap(row) ? [] : await madeWith(ledger, token, caller.principal.token)
      const all = [...(row.revokedAt === null ? [row] : []), ...heirs]
      if (all.length === 0 && isDone) return { descendants }
      if (all.length === 0) throw new ServiceError('invalid_state', 'the token is revoked already')
      const some = all.slice(0, maxRevoked)
      const others = some.flatMap((one) => (one === row ? [] : [one.token]))
      const event = { action: 'token.revoke' as const, caller, token, descendants: others }
      const changes = some.map((one) => update('tokens', one, { revokedAt: now() }))
      // One of them made another meanwhile, or was revoked.
      if ((await audit.commit(event, changes)) === 'conflict') continue
      isDone = true
      descendants.push(...others)
      if (caller.isDryRun === true) return { descendants }
      for (const one of some) this.#revoked.add(one.token)
      if (some.length === all.length) return { descendants }
      attempt = 0
    }
    throw new ServiceError('invalid_state', 'tokens were made all the while', { hint: 'try again' })
  }
}

/** Nobody made it, and it has an end: only the first one of a service in production is so. */
function isBootstrap({ createdBy, expiresAt }: TokenRow): boolean {
  return createdBy === null && expiresAt !== null
}

/** A bootstrap token hands on everything, for as long as its holder likes, once. */
function unbounded(caller: Caller, bootstrap: TokenRow): Caller {
  const authority = [[ruleOf({ ...bootstrap, expiresAt: null })]] as const
  return { ...caller, principal: { ...caller.principal, authority } }
}

/** The rule that a token itself is. */
function ruleOf({
  token,
  permissions,
  keys,
  expiresAt,
}: Pick<TokenRow, 'token' | 'permissions' | 'keys' | 'expiresAt'>): NamedRule {
  return {
    name: `token ${token}`,
    effect: 'allow',
    permissions,
    keys,
    labels: null,
    context: null,
    notBefore: null,
    notAfter: expiresAt,
    networks: null,
  }
}

/** For a token of his own principal, the grants go on to hold: only what his token says counts. */
function forPrincipal(caller: Caller, principal: string | null): Caller {
  if (principal === null || principal !== caller.principal.name) return caller
  const authority = caller.principal.authority.slice(0, 1)
  return { ...caller, principal: { ...caller.principal, authority } }
}

/** Whether the caller may do, here and now, all that a token may, however long either lasts. */
function coversNow(caller: Caller, row: TokenRow): boolean {
  const { at, address } = caller.principal
  const networks = address === undefined ? null : [networkOf(address)]
  return mayHandOn(forPrincipal(caller, row.principal), {
    ...ruleOf(row),
    notBefore: at,
    notAfter: at + 1,
    networks,
  })
}

/** Nothing would end it when its maker's principal is switched off, or its grants are taken away. */
function outlivesPrincipal(principal: string): ServiceError {
  return new ServiceError('permission_denied', 'a token of a principal makes only tokens of principals', {
    hint: `say for whom it is, as in --principal ${principal}`,
  })
}

function hasExpired({ expiresAt }: Pick<TokenRow, 'expiresAt'>, now: number): boolean {
  return expiresAt !== null && expiresAt <= now
}

function tokenMac({ secret: pepper }: OwnKey, id: string, secret: string): Uint8Array {
  const message = framed('longhold/kms/v1/token', id, secret)
  return hmacSha256(pepper, message)
}
