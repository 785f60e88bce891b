/** Changes that were decided on a state of things are made in that state only. */

import { ServiceError } from './errors.ts'

/**
 * @param expected The generation somebody read before he decided; undefined: he does not say.
 * @throws ServiceError `precondition_failed`.
 */
export function requireGeneration(what: string, current: number, expected: number | undefined): void {
  if (expected === undefined || expected === current) return
  throw preconditionFailed(what)
}

/** Also where a commit found another generation than the one expected. */
export function preconditionFailed(what: string): ServiceError {
  return new ServiceError('precondition_failed', `${what} was changed since it was read`, {
    hint: 'read it again, decide again, and give the generation it has now',
  })
}
