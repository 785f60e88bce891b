/** Bytes over a socket, for what no HTTP client would send. */

import { createConnection } from 'node:net'
import type { Socket } from 'node:net'

/** Everything that comes back to these bytes until the other side ends. The connection is not ended from here. */
export async function answerTo(url: string, bytes: string | Buffer): Promise<string> {
  return await allOf(open(url), bytes)
}

export function open(url: string): Socket {
  const { hostname, port } = new URL(url)
  return createConnection({ host: hostname, port: Number(port) })
}

export async function allOf(socket: Socket, bytes: string | Buffer = ''): Promise<string> {
  return await new Promise((resolve) => {
    let answer = ''
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
    socket.on('close', () => resolve(answer))
    socket.on('error', () => resolve(answer))
    socket.write(bytes)
  })
}
