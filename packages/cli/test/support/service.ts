/** A key service of its own for a test: `longhold init`, then `longhold kms serve` in this process. */

import { once } from 'node:events'
import { PassThrough } from 'node:stream'

import { Workspace } from './cli.ts'
import type { CliInput, CliResult } from './cli.ts'

export class ServiceWorkspace extends Workspace implements AsyncDisposable {
  url = ''
  #stop = new AbortController()
  #running: Promise<CliResult> | undefined

  static async create(): Promise<ServiceWorkspace> {
    const space = new ServiceWorkspace()
    await space.ok(['init'])
    await space.start()
    return space
  }

  /** @param more Further arguments of `longhold kms serve`. */
  async start(...more: string[]): Promise<void> {
    const stdout = new PassThrough()
    this.#stop = new AbortController()
    const argv = ['kms', 'serve', '--listen', '127.0.0.1:0', '--json', ...more]
    const running = this.cli(argv, { stdout, signal: this.#stop.signal })
    this.#running = running
    const first = await Promise.race([once(stdout, 'data'), running])
    if (!Array.isArray(first)) throw new Error(`the service did not start: ${first.stderr}`)
    this.url = JSON.parse(String(first[0])).url
  }

  /** Stops the service as Ctrl-C does. */
  async stop(): Promise<CliResult | undefined> {
    this.#stop.abort()
    return await this.#running
  }

  /** A command that asks this service. */
  async ask(argv: readonly string[], input: CliInput = {}): Promise<CliResult> {
    return await this.cli(argv, { ...input, env: { ...input.env, LONGHOLD_KMS_URL: this.url } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    this[Symbol.dispose]()
  }
}
