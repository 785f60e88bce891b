/**
 * `?dry_run=true`: a change is checked in every way, and neither made nor recorded. The answer says that it would be
 * made, and with which status; never what it would have held, since that may be a secret.
 */

import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'

import { ServiceError } from '../service/errors.ts'
import type { Env } from './env.ts'

export const dryRunName = 'dry_run'

/** @throws ServiceError `malformed_request`. */
export function isDryRun(c: Context<Env>): boolean {
  const values = c.req.queries(dryRunName)
  if (values === undefined) return false
  const [text = '', ...more] = values
  if (more.length > 0 || !/^(?:true|false)$/u.test(text)) {
    throw new ServiceError('malformed_request', 'dry_run is true or false, once')
  }
  return text === 'true'
}

/** Around the handler of a change. */
export const answerDryRun = createMiddleware<Env>(async (c, next) => {
  await next()
  if (c.get('caller').isDryRun !== true || c.error !== undefined || !c.res.ok) return
  c.res = Response.json({ dry_run: true, would_answer: c.res.status })
})
