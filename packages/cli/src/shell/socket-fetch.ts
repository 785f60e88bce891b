/** `fetch` over a Unix socket, as much of it as a client of the key service uses. */

import { request } from 'node:http'

/** @param path Of the socket. */
export function socketFetch(path: string): typeof fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const body = typeof init.body === 'string' ? init.body : undefined
    const signal = init.signal ?? undefined
    return await new Promise<Response>((resolve, reject) => {
      const headers = Object.fromEntries(new Headers(init.headers))
      const asked = request({
        socketPath: path,
        path: `${url.pathname}${url.search}`,
        method: init.method ?? 'GET',
        headers: {
          ...headers,
          host: url.host,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
        signal,
      })
      asked.once('error', reject)
      asked.once('response', (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.once('error', reject)
        answer.once('end', () => {
          const status = answer.statusCode ?? 500
          const hasBody = status !== 204 && status !== 304
          resolve(new Response(hasBody ? Buffer.concat(chunks) : null, { status }))
        })
      })
      asked.end(body)
    })
  }
}
