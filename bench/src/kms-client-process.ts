/**
 * Asks a key service as fast as it answers, or so often each second: a process of its own, so that its work is not the
 * service's. It speaks just enough HTTP/1.1 over TLS 1.3 for that, since a whole client would need more of the machine than
 * the service does. Started by `kms-client.ts`.
 */

import { connect, type TLSSocket } from 'node:tls'

export interface LoadTask {
  readonly port: number
  /** PEM. */
  readonly certificate: string
  /** Whole requests, asked in turn. */
  readonly requests: readonly string[]
  /** Stands in each right answer. */
  readonly expected: string
  readonly connections: number
  readonly durationMs: number
  /** Steadily, whoever answers late; as fast as answers come where it is absent. */
  readonly perSecond?: number | undefined
  /** A connection of its own for each request. */
  readonly reconnect?: boolean | undefined
}

export interface LoadReport {
  readonly answers: number
  readonly seconds: number
  /** Milliseconds from when a request was due to its answer. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Requests that were due and not sent before the end. */
  readonly late: number
}

if (process.send !== undefined) {
  process.on('message', (task: LoadTask) => {
    run(task).then(
      (report) => process.send?.({ report }),
      (error: unknown) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
    )
  })
}

async function run(task: LoadTask): Promise<LoadReport> {
  const { durationMs, connections, perSecond, requests } = task
  const latencies: number[] = []
  let next = 0
  const nextRequest = () => requests[next++ % requests.length] ?? ''
  const begun = performance.now()
  const end = begun + durationMs
  let due = 0
  const connection = async (): Promise<void> => {
    let line = await Connection.open(task)
    for (let at = performance.now(); at < end; at = performance.now()) {
      if (perSecond !== undefined) {
        // Whoever is free takes the next request that is due.
        at = begun + (due++ * 1000) / perSecond
        if (at >= end) break
        if (at > performance.now())
          await new Promise((resolve) => setTimeout(resolve, at - performance.now()))
      }
      await line.ask(nextRequest())
      latencies.push(performance.now() - at)
      if (task.reconnect === true) {
        line.close()
        line = await Connection.open(task)
      }
    }
    line.close()
  }
  await Promise.all(Array.from({ length: connections }, connection))
  const seconds = (performance.now() - begun) / 1000
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))] ?? Number.NaN
  const wanted = perSecond === undefined ? 0 : Math.floor((perSecond * durationMs) / 1000)
  return {
    answers: latencies.length,
    seconds,
    latency: { p50: at(0.5), p99: at(0.99), max: at(1) },
    late: Math.max(0, wanted - latencies.length),
  }
}

/** One connection that stays, with one request under way at a time. */
class Connection {
  readonly #socket: TLSSocket
  readonly #expected: string
  #text = ''
  #wanted = Number.POSITIVE_INFINITY
  #settle: { resolve(): void; reject(error: Error): void } | undefined

  private constructor(socket: TLSSocket, expected: string) {
    this.#socket = socket
    this.#expected = expected
    // Answers are ASCII: a character is a byte.
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', (error) => this.#settle?.reject(error))
    socket.on('close', () => this.#settle?.reject(new Error('the service closed a connection')))
  }

  static async open({ port, certificate, expected }: LoadTask): Promise<Connection> {
    const socket = connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: certificate,
      ecdhCurve: 'X25519MLKEM768',
      minVersion: 'TLSv1.3',
    })
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
    })
    socket.setNoDelay(true)
    return new Connection(socket, expected)
  }

  async ask(request: string): Promise<void> {
    this.#text = ''
    this.#wanted = Number.POSITIVE_INFINITY
    await new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#socket.write(request, 'latin1')
    })
  }

  close(): void {
    this.#settle = undefined
    this.#socket.end()
  }

  #take(text: string): void {
    this.#text += text
    if (this.#wanted === Number.POSITIVE_INFINITY) {
      const head = this.#text.indexOf('\r\n\r\n')
      if (head < 0) return
      const [, length] = /\r\ncontent-length: (\d+)/iu.exec(this.#text.slice(0, head + 2)) ?? []
      if (length === undefined)
        return this.#settle?.reject(new Error(`an answer without length: ${this.#text}`))
      this.#wanted = head + 4 + Number(length)
    }
    if (this.#text.length < this.#wanted) return
    const isRight = /^HTTP\/1\.1 20[01] /u.test(this.#text) && this.#text.includes(this.#expected)
    if (isRight) this.#settle?.resolve()
    else this.#settle?.reject(new Error(`not the answer that was expected: ${this.#text.slice(0, 600)}`))
  }
}
