/** The node server: limits, timeouts, and an end that answers what is under way. */

import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { createAdaptorServer } from '@hono/node-server'

import { ServiceError } from '../service/errors.ts'
import type { App } from './env.ts'

export interface ListenOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

export interface Listener {
  readonly url: string
  /** Takes no more connections, waits for answers under way, at most `graceMs`. */
  close(graceMs: number): Promise<void>
}

const limits = {
  maxHeaderSize: 16 * 1024,
  /** Slow headers and slow bodies end here; Node's own default for a request is five minutes. */
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2000,
  keepAliveTimeout: 60_000,
}
const maxConnections = 10_000

/** @throws ServiceError `address_in_use`, `bad_config`. */
export async function listen(app: App, { host, port }: ListenOptions): Promise<Listener> {
  // With `serverOptions` for node:http and no other `createServer`, it is one.
  const server = createAdaptorServer({ fetch: app.fetch, serverOptions: limits }) as Server
  server.maxConnections = maxConnections
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error.code, host, port)))
    server.listen(port, host)
  })
  // It listens on a host and port, so this is not the path of a socket.
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${name}:${address.port}`,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      const patience = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearTimeout(patience)
    },
  }
}

function cannotListen(code: string | undefined, host: string, port: number): ServiceError {
  if (code === 'EADDRINUSE') {
    return new ServiceError('address_in_use', `something else listens on ${host}:${port}`, {
      hint: 'stop it, or choose another port',
    })
  }
  return new ServiceError('bad_config', `cannot listen on ${host}:${port} (${code ?? 'unknown'})`, {
    hint: 'give an address of this machine and a port this user may use',
  })
}
