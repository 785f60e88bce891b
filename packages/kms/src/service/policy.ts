/** Who may do what. A token holds permissions, perhaps for some keys only; none implies another. */

import type { Permission } from '@longhold/core/kms'

import { notFound, ServiceError } from './errors.ts'

/** Every permission there is. */
export const permissions = [
  'keys.create',
  'keys.list',
  'keys.read',
  'keys.rotate',
  'versions.list',
  'versions.update',
  'wrap',
  'unwrap',
  'rewrap',
  'tokens.create',
  'tokens.list',
  'tokens.revoke',
] as const satisfies readonly Permission[]

export interface Grant {
  readonly permissions: readonly Permission[]
  /** The only keys that exist for the holder; null: all. */
  readonly keys: readonly string[] | null
  readonly expiresAt: number | null
}

/** Who asks. */
export interface Principal extends Grant {
  /** The id of the token. */
  readonly token: string
}

/** Who asks, in which request. */
export interface Caller {
  readonly principal: Principal
  readonly requestId: string
  /** Asks what would happen: everything is checked, nothing changed. */
  readonly isDryRun?: boolean
}

/** @throws ServiceError `permission_denied`. */
export function requirePermission(principal: Principal, permission: Permission): void {
  if (!principal.permissions.includes(permission)) throw permissionDenied(permission)
}

export function permissionDenied(permission: Permission): ServiceError {
  return new ServiceError('permission_denied', `this token does not have the permission ${permission}`, {
    hint: 'use another token, or have one made that has it',
  })
}

export function maySee({ keys }: Grant, key: string): boolean {
  return keys === null || keys.includes(key)
}

/** @throws ServiceError `not_found`, as for a key that does not exist. */
export function requireVisible(principal: Principal, key: string): void {
  if (!maySee(principal, key)) throw keyNotFound(key)
}

export function keyNotFound(key: string): ServiceError {
  return notFound(`the key ${key}`)
}

/** Whether `holder` may do all that `other` may: nobody hands on, sees or ends what he does not hold. */
export function covers(holder: Grant, other: Grant): boolean {
  return (
    other.permissions.every((permission) => holder.permissions.includes(permission)) &&
    (holder.keys === null || (other.keys !== null && other.keys.every((key) => maySee(holder, key))))
  )
}

/** Whether `holder` lasts at least as long as `other`. */
export function outlasts(holder: Grant, other: Grant): boolean {
  return holder.expiresAt === null || (other.expiresAt !== null && other.expiresAt <= holder.expiresAt)
}
