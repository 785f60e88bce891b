/** A server as a process of its own, and what it used, as Linux keeps account of it. */

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const mainFile = fileURLToPath(new URL('../../packages/kms/src/main.ts', import.meta.url))

export class KmsProcess implements AsyncDisposable {
  readonly name: string
  readonly port: number
  /** From the start of the process to its answer, in milliseconds. */
  readonly readyMs: number
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>

  private constructor(name: string, child: ChildProcess, port: number, readyMs: number) {
    this.name = name
    this.#child = child
    this.port = port
    this.readyMs = readyMs
    this.#ended = once(child, 'close')
  }

  /** The service as it is run: `serve` with these options, and a log that nobody keeps. */
  static async serve(name: string, options: readonly string[], nodeOptions: readonly string[] = []) {
    // Every request is of one token here.
    const more = ['--listen', '127.0.0.1:0', '--requests-per-second', '1000000']
    return await KmsProcess.#start(name, [...nodeOptions, mainFile, 'serve', ...options, ...more])
  }

  /** A file beside this one that says where it listens, as the service does. */
  static async run(name: string, file: string, args: readonly string[]) {
    return await KmsProcess.#start(name, [fileURLToPath(new URL(file, import.meta.url)), ...args])
  }

  static async #start(name: string, args: readonly string[]): Promise<KmsProcess> {
    const begun = performance.now()
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let [said, complaint] = ['', '']
    child.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (complaint = (complaint + text).slice(-2000)))
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
        const [, found] = /^listening on \S+:(\d+)\n/mu.exec(said) ?? []
        if (found !== undefined) resolve(Number(found))
      })
      child.once('close', () => reject(new Error(`${name} ended: ${complaint}`)))
    })
    return new KmsProcess(name, child, port, performance.now() - begun)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }
}

/** Of all its threads together, in microseconds; the account is kept in hundredths of a second. */
export function cpuMicroseconds(pid: number): number {
  // The second field is the name in parentheses; user and system time are the 14th and 15th.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

export function memoryMiB(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'mu').exec(status)?.[1]) / 1024
  return { now: of('VmRSS'), peak: of('VmHWM') }
}
