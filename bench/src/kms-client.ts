/** Load on a key service, from a process of its own (`kms-client-process.ts`), and what answering cost the service. */

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { LoadReport, LoadTask } from './kms-client-process.ts'
import type { Asked, KmsPlace } from './kms-place.ts'
import { cpuMicroseconds, type KmsProcess } from './kms-process.ts'

export interface LoadOptions {
  readonly seconds: number
  readonly connections: number
  readonly perSecond?: number | undefined
  readonly reconnect?: boolean | undefined
}

export interface Measured extends LoadReport {
  readonly perSecond: number
  /** Of the service's process, all its threads, for one answer. */
  readonly cpuMicroseconds: number
}

export class Load implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor() {
    this.#child = fork(fileURLToPath(new URL('./kms-client-process.ts', import.meta.url)))
  }

  async on(
    server: KmsProcess,
    place: KmsPlace,
    asked: readonly Asked[],
    options: LoadOptions,
  ): Promise<Measured> {
    const { seconds, ...more } = options
    const [first] = asked
    if (first === undefined) throw new Error('nothing to ask')
    const task: LoadTask = {
      ...more,
      port: server.port,
      certificate: place.certificate,
      requests: asked.map((one) => requestText(one, place.token)),
      expected: first.expected,
      durationMs: seconds * 1000,
    }
    const before = cpuMicroseconds(server.pid)
    this.#child.send(task)
    const [reply] = (await once(this.#child, 'message')) as [{ report?: LoadReport; error?: string }] // what it sends
    const used = cpuMicroseconds(server.pid) - before
    if (reply.report === undefined) throw new Error(`load on ${server.name}: ${reply.error}`)
    const { answers, seconds: took } = reply.report
    return { ...reply.report, perSecond: answers / took, cpuMicroseconds: used / answers }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'close')
    this.#child.kill()
    await ended
  }
}

function requestText({ path, body }: Asked, token: string): string {
  const lines = [
    `${body === '' ? 'GET' : 'POST'} ${path} HTTP/1.1`,
    'Host: localhost',
    `Authorization: Bearer ${token}`,
    ...(body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`]),
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
