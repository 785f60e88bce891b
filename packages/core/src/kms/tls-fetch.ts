/**
 * A `fetch` that knows what its key exchange was: over node:https, which is asked for at run time, so that bundlers and
 * other runtimes meet no `node:` import. The platform's own can neither choose a group nor say which one it got.
 */

import type * as NodeHttps from 'node:https'
import type { TLSSocket } from 'node:tls'

import { LongholdError } from '../errors.ts'
import { checkOptions } from '../options.ts'
import { unavailable } from './problems.ts'

/** ML-KEM-768 beside X25519 (RFC 10024). */
const postQuantumGroup = 'X25519MLKEM768'
const classicalGroups = 'X25519:P-256:P-384'

/** What a connection to the service is protected by. */
export interface TlsConnection {
  /** `TLSv1.3` */
  readonly protocol: string
  /** Of the key exchange: `X25519MLKEM768`, or a classical one where that is accepted. */
  readonly group: string
}

/** How the service is reached over TLS. */
export interface TlsFetchOptions {
  /** PEM of those who may vouch for the service, in place of the platform's. */
  readonly ca?: string
  /** Accepts X25519, P-256 and P-384 where the other side has no X25519MLKEM768. Default false: who records the
   *  connection today reads it with a quantum computer later. */
  readonly allowClassical?: boolean
  /** Called for each new connection, before anything is sent over it. */
  readonly onConnection?: (connection: TlsConnection) => void
}

/** Whether this platform has what `tlsFetch` takes. */
export function hasTlsFetch(): boolean {
  return nodeHttps() !== undefined
}

/**
 * For Node and what is like it: TLS 1.3 with X25519MLKEM768 (RFC 8446 §4.2.7, RFC 10024), and no other group unless
 * allowed. Redirects are refused.
 *
 * @returns What `fetch` of a client may be. It throws LongholdError `unavailable` where the handshake fails.
 * @throws LongholdError `unsupported` where there is no node:https, as in browsers.
 */
export function tlsFetch(options: TlsFetchOptions = {}): typeof fetch {
  checkOptions(options, ['ca', 'allowClassical', 'onConnection'], 'tlsFetch')
  const https = nodeHttps()
  if (https === undefined) {
    throw new LongholdError('unsupported', 'this platform cannot choose the group of a key exchange', {
      hint: 'it takes node:https; elsewhere the platform decides how it connects',
    })
  }
  const agent = checkingAgent(https, options)
  return async (input, init) => {
    const request = new Request(input, init)
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer())
    return await send(https, agent, request, body)
  }
}

/** An agent that hands out no connection before its group was looked at. */
function checkingAgent(
  https: typeof NodeHttps,
  { ca, allowClassical = false, onConnection }: TlsFetchOptions,
): NodeHttps.Agent {
  const agent = new https.Agent({
    keepAlive: true,
    minVersion: 'TLSv1.3',
    ecdhCurve: allowClassical ? `${postQuantumGroup}:${classicalGroups}` : postQuantumGroup,
    ...(ca === undefined ? {} : { ca }),
  })
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (given, callback) => {
    // An agent of https connects by TLS.
    const socket = connect(given) as TLSSocket
    const fail = (error: Error): void => callback?.(error, socket)
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      socket.off('error', fail)
      const connection = { protocol: socket.getProtocol() ?? 'unknown', group: groupOf(socket) }
      if (!allowClassical && connection.group !== postQuantumGroup) {
        socket.destroy()
        fail(noPostQuantumGroup(`it agreed on ${connection.group}`))
        return
      }
      onConnection?.(connection)
      callback?.(null, socket)
    })
    return undefined
  }
  return agent
}

function groupOf(socket: TLSSocket): string {
  const info: { name?: unknown } | null = socket.getEphemeralKeyInfo()
  return typeof info?.name === 'string' ? info.name : 'unknown'
}

async function send(
  https: typeof NodeHttps,
  agent: NodeHttps.Agent,
  request: Request,
  body: Uint8Array | undefined,
): Promise<Response> {
  const { method, headers, signal, url } = request
  return await new Promise((resolve, reject) => {
    const asked = https.request(url, { agent, method, headers: Object.fromEntries(headers), signal })
    asked.once('error', (error) => reject(handshakeError(error)))
    asked.once('response', (incoming) => {
      const status = incoming.statusCode ?? 0
      if (status >= 300 && status < 400) {
        incoming.destroy()
        reject(unavailable('the key service sends its callers elsewhere', { hint: 'give its own address' }))
        return
      }
      const answerHeaders = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
        values.map((value): [string, string] => [name, value]),
      )
      const isEmpty = status === 204
      if (isEmpty) incoming.resume()
      resolve(new Response(isEmpty ? null : streamOf(incoming), { status, headers: answerHeaders }))
    })
    asked.end(body)
  })
}

/** `ReadableStream.from`, which not every platform has. */
function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done === true) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}

/** What Node says of a handshake, as what to do about it; other errors as they are. */
function handshakeError(error: Error & { code?: string }): Error {
  if (/handshake failure|alert number 40|no suitable key share/iu.test(error.message)) {
    return noPostQuantumGroup('it refused the handshake', error)
  }
  if (/protocol version|alert number 70|unsupported protocol/iu.test(error.message)) {
    return noPostQuantumGroup('it speaks no TLS 1.3', error)
  }
  if (/^(?:DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|ERR_TLS_CERT_)/u.test(error.code ?? '')) {
    return unavailable(`the certificate of the key service is not accepted (${error.code})`, {
      hint: 'give the certificate of who vouches for it (ca), or look at its name and dates',
      cause: error,
    })
  }
  return error
}

function noPostQuantumGroup(why: string, cause?: unknown): LongholdError {
  return unavailable(`the key service does not exchange keys by ${postQuantumGroup}: ${why}`, {
    hint: 'give it TLS 1.3 with that group, or accept classical groups explicitly (allowClassical)',
    ...(cause === undefined ? {} : { cause }),
  })
}

function nodeHttps(): typeof NodeHttps | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (id: 'node:https') => typeof NodeHttps }
  }
  return process?.getBuiltinModule?.('node:https')
}
