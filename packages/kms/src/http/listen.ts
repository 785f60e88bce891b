/** The node server: TLS, limits, timeouts, and an end that answers what is under way. */

import { createServer as createHttpServer, STATUS_CODES } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

import { createAdaptorServer } from '@hono/node-server'

import { ServiceError } from '../service/errors.ts'
import type { App } from './env.ts'
import { defaultLimits, maxHeaderBytes } from './limits.ts'
import type { ConnectionLimits } from './limits.ts'
import { handshakeRefusal, tlsServerOptions } from './tls.ts'
import type { Refusal, TlsSettings } from './tls.ts'

export interface ListenOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  /** Without it, plain HTTP is spoken. */
  readonly tls?: TlsSettings | undefined
  readonly limits?: ConnectionLimits | undefined
  /** Called for each connection that ends before a request of it could be answered. */
  readonly onRefused?: ((refusal: Refusal, code: string) => void) | undefined
}

export interface Listener {
  readonly url: string
  /** Connections that are open now. */
  connections(): number
  /** Takes no more connections, waits for answers under way, at most `graceMs`. */
  close(graceMs: number): Promise<void>
}

/** @throws ServiceError `address_in_use`, `bad_config`. */
export async function listen(app: Pick<App, 'fetch'>, options: ListenOptions): Promise<Listener> {
  const { host, port, tls } = options
  const server = createServer(app, options)
  const sockets = new Set<Duplex>()
  // Those that still shake hands too.
  server.on('connection', (socket: Duplex) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve)
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error.code, host, port)))
    server.listen(port, host)
  })
  // It listens on a host and port, so this is not the path of a socket.
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}`,
    connections: () => sockets.size,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      // Sockets and not `closeAllConnections`, which leaves alone whoever has not sent a request yet.
      const patience = setTimeout(() => sockets.forEach((socket) => socket.destroy()), graceMs)
      await closed
      clearTimeout(patience)
    },
  }
}

function createServer(app: Pick<App, 'fetch'>, options: ListenOptions): Server {
  const { tls, limits = defaultLimits, onRefused = () => undefined } = options
  const serverOptions = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    connectionsCheckingInterval: Math.min(2000, Math.ceil(limits.headersTimeoutMs / 4)),
    keepAliveTimeout: limits.idleTimeoutMs,
  }
  const created = createAdaptorServer(
    tls === undefined
      ? { fetch: app.fetch, serverOptions, createServer: createHttpServer }
      : {
          fetch: app.fetch,
          serverOptions: { ...serverOptions, ...tlsServerOptions(tls, limits.headersTimeoutMs) },
          createServer: createHttpsServer,
        },
  )
  // One of HTTP/1, by its creator; the one of node:https has all that this one has.
  const server = created as Server
  server.maxConnections = limits.maxConnections
  server.timeout = limits.idleTimeoutMs
  server.on('drop', () => onRefused('too_many_connections', 'drop'))
  endBroken(server, tls, onRefused)
  return server
}

/** Ends what is broken as Node does by itself where nobody listens, and with a count. */
function endBroken(
  server: Server,
  tls: TlsSettings | undefined,
  onRefused: NonNullable<ListenOptions['onRefused']>,
): void {
  const answers = new WeakMap<Duplex, ServerResponse>()
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    answers.set(socket, response)
    response.once('close', () => answers.delete(socket))
  })
  // Handshakes that fail come here too.
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const code = error.code ?? 'unknown'
    const isOfHttp = /^HPE_|^ERR_HTTP_/u.test(code)
    const isSlow = code === 'ERR_HTTP_REQUEST_TIMEOUT'
    const ofHttp = isSlow ? 'slow_request' : 'malformed_request'
    const refusal = isOfHttp || tls === undefined ? ofHttp : handshakeRefusal(code, tls)
    if (refusal !== undefined && code !== 'ECONNRESET') onRefused(refusal, code)
    // In the middle of an answer, a second one would be taken for a part of it.
    if (isOfHttp && socket.writable && answers.get(socket)?.headersSent !== true) {
      const status = isSlow ? 408 : code === 'HPE_HEADER_OVERFLOW' ? 431 : 400
      socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`)
    }
    socket.destroy(error)
  })
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
