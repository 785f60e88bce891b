/** ETag and If-Match (RFC 9110 §8.8.3, §13.1.1): the tag of a thing is its generation. */

import type { Context } from 'hono'

import { ServiceError } from '../service/errors.ts'
import type { Env } from './env.ts'

const tagPattern = /^"([1-9]\d{0,14})"$/u

/** Says which generation the answer shows. */
export function tagGeneration(c: Context<Env>, generation: number): void {
  c.header('ETag', `"${generation}"`)
}

/**
 * The generation that the caller expects; undefined when he says nothing, or `*`. Hand it to the service, which
 * compares it in the transaction that changes something (`requireGeneration`).
 *
 * @throws ServiceError `precondition_failed` for a tag that no generation has, a weak one among them;
 * `malformed_request` for several.
 */
export function expectedGeneration(c: Context<Env>): number | undefined {
  const text = c.req.header('if-match')?.trim()
  if (text === undefined || text === '*') return undefined
  if (text.includes(',')) throw new ServiceError('malformed_request', 'If-Match takes one tag here')
  const [, digits] = tagPattern.exec(text) ?? []
  if (digits === undefined) {
    throw new ServiceError('precondition_failed', 'If-Match is not a tag of this service', {
      hint: 'a tag is the generation in quotes, as in "3"',
    })
  }
  return Number(digits)
}

/**
 * The same where a change must not be made blindly.
 *
 * @throws ServiceError `precondition_required` too, when he says nothing or `*`.
 */
export function requiredGeneration(c: Context<Env>): number {
  const expected = expectedGeneration(c)
  if (expected !== undefined) return expected
  throw new ServiceError('precondition_required', 'this takes If-Match with the ETag of what was read', {
    hint: 'read it first; whoever changed it since then is not overrun',
  })
}
