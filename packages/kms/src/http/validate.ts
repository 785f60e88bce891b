/**
 * Checks what a route says of its inputs, all at once: with a function for each, as `app.openapi` has them, and a schema that
 * may wait, as those call it, an unwrap took longer to check than its answer to write.
 */

import type { RouteConfig } from '@hono/zod-openapi'
import { z } from '@hono/zod-openapi'
import type { Context, ValidationTargets } from 'hono'

import { ServiceError } from '../service/errors.ts'
import type { Env } from './env.ts'
import { refuse } from './refuse-invalid.ts'

type Target = 'query' | 'param' | 'json'

const jsonType = /^application\/(?:[\w.-]+\+)?json(?:\s*;|\s*$)/iu

/**
 * What is right is what `c.req.valid` gives; the body's text was read before.
 *
 * @throws ServiceError as `refuse` does.
 */
export function validatorOf({ request = {} }: RouteConfig): (c: Context<Env>) => void {
  const { query, params, body } = request
  const media = body?.content['application/json']
  const bodySchema =
    media !== undefined && 'schema' in media && media.schema instanceof z.ZodType ? media.schema : undefined
  return (c) => {
    if (query !== undefined) check(c, 'query', query, queryOf(c))
    if (params !== undefined) check(c, 'param', params, c.req.param())
    if (bodySchema !== undefined) check(c, 'json', bodySchema, jsonOf(c))
  }
}

interface Schema {
  safeParse(value: unknown): z.ZodSafeParseResult<unknown>
}

function check(c: Context<Env>, target: Target, schema: Schema, value: unknown): void {
  const result = schema.safeParse(value)
  if (!result.success) return refuse(target, result.error.issues)
  // Of whichever shape the schema has.
  c.req.addValidatedData(target, result.data as ValidationTargets[Target])
}

/** Those that stand once as text, others as a list. */
function queryOf({ req }: Context<Env>): Readonly<Record<string, string | string[] | undefined>> {
  if (!req.url.includes('?')) return {}
  return Object.fromEntries(
    Object.entries(req.queries()).map(([name, values]) => [name, values.length === 1 ? values[0] : values]),
  )
}

function jsonOf(c: Context<Env>): unknown {
  const text = c.get('text')
  const type = c.req.header('content-type')
  if (type === undefined ? text !== '' : !jsonType.test(type)) throw notJson()
  try {
    return JSON.parse(text === '' ? '{}' : text)
  } catch {
    throw notJson()
  }
}

function notJson(): ServiceError {
  return new ServiceError('malformed_request', 'the body is not JSON, or not said to be (application/json)')
}
