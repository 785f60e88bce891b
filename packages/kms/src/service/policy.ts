/** Who may do what, as the parts of the service ask for it. `authority.ts` decides. */

import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { decide, decideForAny, maySeeKey } from './authority.ts'
import type { Authority, Decision } from './authority.ts'
import { notFound, ServiceError } from './errors.ts'
import type { Rider } from './rider.ts'
import { contextPermissions } from './rule.ts'
import type { KeyFacts, Labels } from './rule.ts'
import type { Tab } from './tab.ts'

/** Who asks: a token, and what it may do. */
export interface Principal {
  /** The id of the token. */
  readonly token: string
  /** Whose token it is; null: it stands for itself. */
  readonly name: string | null
  readonly authority: Authority
  /** Where the request comes from; undefined: not over the network. */
  readonly address: string | undefined
  /** When it was authenticated. */
  readonly at: number
  readonly expiresAt: number | null
  /** What this request owes for grants with a number of uses. */
  readonly tab: Tab
}

/** In whose name he takes his share of what is scarce: all tokens of a principal have one together. */
export function sharerOf({ name, token }: Pick<Principal, 'name' | 'token'>): string {
  // Ids of tokens have no space.
  return name === null ? token : `principal ${name}`
}

/** Who asks, in which request. */
export interface Caller {
  readonly principal: Principal
  readonly requestId: string
  /** The permission of the route; null: what is asked for is no route. */
  readonly permission: Permission | null
  /** Asks what would happen: everything is checked, nothing changed. */
  readonly isDryRun?: boolean
  /** What goes into the transaction of what he asks for, beside his tab. */
  readonly riders?: readonly Rider[]
}

/** A key, and what rules may ask about it. Without labels, rules that ask for some do not allow and do deny. */
export interface Subject {
  readonly key: string
  readonly labels: Labels | null
}

/** What they allow is about the whole service: a rule for some keys does not allow it. */
const keylessPermissions: ReadonlySet<Permission> = new Set<Permission>([
  'clock.read',
  'clock.accept',
  'sys.seal',
  'slots.list',
  'slots.create',
  'slots.remove',
  'root.rotate',
  'principals.create',
  'principals.list',
  'principals.update',
  'grants.list',
  'grants.delete',
  'authz.explain',
  'audit.read',
  'audit.verify',
  'audit.checkpoint',
  'audit.prune',
  'backups.create',
  'backups.list',
  'backups.remove',
])

/** What they allow is about rules, and goes as far as the caller's own: see `delegation.ts`. A rule for some keys allows it. */
const holderPermissions: ReadonlySet<Permission> = new Set<Permission>([
  'tokens.create',
  'tokens.list',
  'tokens.revoke',
  'grants.create',
])

/** Whether each use of it is with one key. */
export function isAboutKeys(permission: Permission): boolean {
  return !keylessPermissions.has(permission) && !holderPermissions.has(permission)
}

/** What is asked: with a key, in a context, as far as there are such. */
export interface Asked {
  readonly permission: Permission
  /** Absent: whether there may be one for which it is allowed. */
  readonly key?: KeyFacts | undefined
  readonly context?: EncryptionContext | undefined
}

/** Who asks, as far as decisions go. */
export type Asker = Pick<Principal, 'authority' | 'address' | 'at'> & { readonly tab?: Tab }

/** Every decision, and every explanation of one, is made here. Costs nothing yet. */
export function decisionOf(asker: Asker, { permission, key, context }: Asked): Decision {
  const { authority, address, at, tab } = asker
  const isOwed = (grant: string): boolean => tab?.has(grant) === true
  if (keylessPermissions.has(permission)) return decide(authority, { permission, address, at }, isOwed)
  if (key === undefined || holderPermissions.has(permission)) {
    return decideForAny(authority, permission, asker, isOwed)
  }
  // What is done in a context is always done in one, if only in an empty one.
  const place = contextPermissions.includes(permission) ? (context ?? []) : undefined
  return decide(authority, { permission, key, context: place, address, at }, isOwed)
}

/** Takes what was decided: what it leans on is owed. */
function isAllowed({ tab }: Principal, { allowed, by }: Decision): boolean {
  if (allowed) tab.owe(by.flatMap(({ name, isLimited }) => (isLimited === true ? [name] : [])))
  return allowed
}

/** @throws ServiceError `permission_denied`. */
export function requirePermission(principal: Principal, permission: Permission): void {
  const decision = decisionOf(principal, { permission })
  // Where a key is to come, what is done with it says what it costs.
  const isFine = isAboutKeys(permission) ? decision.allowed : isAllowed(principal, decision)
  if (!isFine) throw permissionDenied(permission)
}

export function permissionDenied(permission: Permission): ServiceError {
  return new ServiceError('permission_denied', `this token does not have the permission ${permission}`, {
    hint: 'use another token, or have one made that has it',
  })
}

export function maySee(principal: Principal, key: string, labels: Labels | null = null): boolean {
  return maySeeKey(principal.authority, { key, labels }, principal)
}

/** @throws ServiceError `not_found`, as for a key that does not exist. */
export function requireVisible(principal: Principal, key: string, labels: Labels | null = null): void {
  if (!maySee(principal, key, labels)) throw keyNotFound(key)
}

/** Whether somebody may do this with this key, in this context. */
export function mayUse(
  principal: Principal,
  permission: Permission,
  subject: Subject,
  context?: EncryptionContext,
): boolean {
  return isAllowed(principal, decisionOf(principal, { permission, key: subject, context }))
}

/**
 * @throws ServiceError `not_found` when the key is not there for the caller, `permission_denied` when it is, and what
 * the route is for is not allowed with it.
 */
export function requireKey({ principal, permission }: Caller, subject: Subject): void {
  requireVisible(principal, subject.key, subject.labels)
  if (permission === null || contextPermissions.includes(permission)) return
  if (!mayUse(principal, permission, subject)) throw permissionDenied(permission)
}

/**
 * For what takes a permission beside that of its route.
 *
 * @throws ServiceError `permission_denied`.
 */
export function requireBeside({ principal }: Caller, permission: Permission, subject: Subject): void {
  if (!mayUse(principal, permission, subject)) throw permissionDenied(permission)
}

/**
 * Whether somebody may take a name that is free, or find that it is not: keys and aliases share their names. It has to be
 * allowed whatever labels a key of that name has. Then every key of that name is there for him, and what is refused is
 * refused in the same words whether or not there is one.
 *
 * @throws ServiceError `permission_denied`.
 */
export function requireName(caller: Caller, permission: Permission, name: string): void {
  requireBeside(caller, permission, { key: name, labels: null })
}

export function keyNotFound(key: string): ServiceError {
  return notFound(`the key ${key}`)
}
