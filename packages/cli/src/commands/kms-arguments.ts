/** What several commands about the key service read from their arguments. */

import { permissions } from '@longhold/core/kms'
import type { Permission } from '@longhold/core/kms'

import { usage } from '../shell/errors.ts'
import { closest } from '../shell/text.ts'

/** @throws CliError with exit code 2, and the name that was meant. */
export function toPermission(text: string): Permission {
  const found = permissions.find((permission) => permission === text)
  if (found !== undefined) return found
  const meant = closest(text, permissions)
  throw usage(`no such permission: ${text}`, {
    hint: meant === undefined ? `there are ${permissions.join(', ')}` : `did you mean ${meant}?`,
  })
}

/** `all` is every permission there is. Throws as `toPermission`. */
export function toPermissions(texts: readonly string[]): Permission[] {
  return [...new Set(texts.flatMap((text) => (text === 'all' ? permissions : [toPermission(text)])))]
}

/** RFC 3339. Throws a CliError with exit code 2. */
export function toTime(text: string): string {
  const isTime = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/u.test(text)
  const ms = isTime ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms))
    throw usage(`not a time: ${text}`, { hint: 'say, 2027-01-31 or 2027-01-31T12:00:00Z' })
  return new Date(ms).toISOString()
}
