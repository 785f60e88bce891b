/** What a schema refuses, as a problem. Names fields, never repeats values. */

import type { Hook } from '@hono/zod-openapi'

import { ServiceError } from '../service/errors.ts'
import { maxItems } from '../wire.ts'
import type { Env } from './env.ts'

/** The default hook of every route. */
// The library's own type for it: inputs and outputs differ from route to route.
export const refuseInvalid: Hook<any, Env, any, any> = (result) => {
  if (result.success) return undefined
  return refuse(result.target, result.error.issues)
}

/** @throws ServiceError always: `not_found`, `unknown_field`, `too_many_items`, `malformed_request`. */
export function refuse(target: string, issues: readonly Issue[]): never {
  // A name that no key can have is a key that does not exist.
  if (target === 'param') throw new ServiceError('not_found', 'there is no such thing')
  const unknown = issues.find(({ code }) => code === 'unrecognized_keys')
  if (unknown !== undefined) {
    const names = (unknown.keys ?? []).map((key) => pathText([...unknown.path, key.slice(0, 64)]))
    throw new ServiceError('unknown_field', `unknown: ${names.slice(0, 5).join(', ')}`)
  }
  const tooMany = issues.find(
    ({ code, path }) => code === 'too_big' && path.length === 1 && path[0] === 'items',
  )
  if (tooMany !== undefined) {
    throw new ServiceError('too_many_items', `at most ${maxItems} items in one request`)
  }
  const [issue] = issues
  throw new ServiceError(
    'malformed_request',
    `${pathText(issue?.path ?? [])}: ${issue?.message ?? 'not valid'}`,
  )
}

/** Of zod. */
export interface Issue {
  readonly code?: string | undefined
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly keys?: readonly string[]
}

function pathText(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'the body' : path.map(String).join('.')
}
