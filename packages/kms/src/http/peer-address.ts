/** Where a request comes from. */

import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'

import type { Env } from './env.ts'

/**
 * The address of the other end of the connection; `undefined` when there is none (a Unix socket, a test). No header is
 * asked: whoever is behind a proxy comes from the proxy.
 */
export function peerAddress(c: Context<Env>): string | undefined {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>
  return incoming?.socket.remoteAddress
}
