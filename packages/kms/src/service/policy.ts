/** Who may do what, as the parts of the service ask for it. `authority.ts` decides. */

import type { EncryptionContext } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { decide, mayEver, maySeeKey } from './authority.ts'
import type { Authority } from './authority.ts'
import { notFound, ServiceError } from './errors.ts'
import { contextPermissions } from './rule.ts'
import type { Labels } from './rule.ts'

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
])

export function isKeyless(permission: Permission): boolean {
  return keylessPermissions.has(permission)
}

/** @throws ServiceError `permission_denied`. */
export function requirePermission(principal: Principal, permission: Permission): void {
  const { authority, address, at } = principal
  const isAllowed = isKeyless(permission)
    ? decide(authority, { permission, address, at }).allowed
    : mayEver(authority, permission, principal)
  if (!isAllowed) throw permissionDenied(permission)
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
  const { address, at, authority } = principal
  return decide(authority, { permission, key: subject, context, address, at }).allowed
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

export function keyNotFound(key: string): ServiceError {
  return notFound(`the key ${key}`)
}
