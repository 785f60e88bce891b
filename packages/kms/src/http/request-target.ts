/**
 * Paths are written in one way only. What stands in front of the service may decide by a path too, and must never read
 * another one than we do: no `..`, no `//`, no `%2f`, no NUL, no whole address. Nothing that is named in a path needs
 * an escape.
 */

import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'

import { ServiceError } from '../service/errors.ts'
import type { Env } from './env.ts'

const segment = String.raw`(?!\.{1,2}(?:/|$))[\w.~-]+`
const onlyOneWay = new RegExp(`^/(?:${segment}(?:/${segment})*)?$`, 'u')

/** @throws ServiceError `malformed_request`. */
export function requireStrictTarget(c: Context<Env>): void {
  // As it came; `c.req.path` was put in order already. There is none where no socket is.
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  const [path = ''] = (incoming?.url ?? '/').split('?', 1)
  if (!onlyOneWay.test(path)) {
    throw new ServiceError('malformed_request', 'the path is not written as the routes are', {
      hint: 'no escapes, no empty parts, no dots for a part, no slash at its end',
    })
  }
  // RFC 9112 §3.2: never one of two, which the next reader may choose otherwise.
  if ((incoming?.headersDistinct['host']?.length ?? 1) !== 1) {
    throw new ServiceError('malformed_request', 'there is more than one Host')
  }
}
