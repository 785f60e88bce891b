/** The service as its own process. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { onTestFinished } from 'vitest'

import { childEnvironment } from './files.ts'

const env = childEnvironment()
const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end. */
export async function run(...argv: string[]): Promise<Ran> {
  const child = start(argv)
  const [code] = (await once(child.process, 'close')) as [number | null]
  return { code, stdout: child.stdout(), stderr: child.stderr() }
}

export interface Serving {
  readonly process: ChildProcess
  readonly url: string
  stdout(): string
  stderr(): string
  /** Sends a signal and waits for the end. */
  stop(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<{ code: number | null; signal: string | null }>
}

/** Serves until stopped, at the latest when the test ends. */
export async function serve(...argv: string[]): Promise<Serving> {
  return await serving(start(['serve', '--listen', '127.0.0.1:0', ...argv]))
}

/** The same with options of node, in a directory of its own. */
export async function serveFrom(
  cwd: string,
  nodeOptions: readonly string[],
  argv: readonly string[],
): Promise<Serving> {
  const child = start(['serve', '--listen', '127.0.0.1:0', ...argv], { cwd, nodeOptions })
  return await serving(child)
}

/** The same where no file may grow beyond so many blocks of 512 bytes: a disk that is full, for this process. */
export async function serveOnFullDisk(blocks: number, ...argv: string[]): Promise<Serving> {
  const limit = ['sh', '-c', `ulimit -f ${blocks} && exec "$@"`, 'sh'] as const
  return await serving(start(['serve', '--listen', '127.0.0.1:0', ...argv], { before: limit }))
}

/** The same in front of which another command runs: `before`, then node. */
export async function serveUnder(before: readonly string[], ...argv: string[]): Promise<Serving> {
  return await serving(start(['serve', '--listen', '127.0.0.1:0', ...argv], { before }))
}

/** The same with a log that has no room for one more byte. */
export async function serveWithFullLog(file: string, ...argv: string[]): Promise<Serving> {
  const blocks = 2000
  writeFileSync(file, Buffer.alloc(blocks * 512))
  const limit = ['sh', '-c', `ulimit -f ${blocks} && exec "$@" 2>>'${file}'`, 'sh'] as const
  return await serving(start(['serve', '--listen', '127.0.0.1:0', ...argv], { before: limit }))
}

async function serving(child: ReturnType<typeof start>): Promise<Serving> {
  const ended = once(child.process, 'close') as Promise<[number | null, string | null]>
  const url = await new Promise<string>((resolve, reject) => {
    child.process.stdout?.on('data', () => {
      const [, address] = /^listening on (\S+)\n/u.exec(child.stdout()) ?? []
      if (address !== undefined) resolve(address)
    })
    void ended.then(() => reject(new Error(`it ended: ${child.stderr()}`)))
  })
  return {
    ...child,
    url,
    async stop(signal) {
      child.process.kill(signal)
      const [code, by] = await ended
      return { code, signal: by }
    },
  }
}

interface StartOptions {
  /** In front of node itself. */
  readonly before?: readonly string[]
  readonly nodeOptions?: readonly string[]
  readonly cwd?: string
}

function start(argv: readonly string[], { before = [], nodeOptions = [], cwd }: StartOptions = {}) {
  const [command = process.execPath, ...rest] = [...before, process.execPath, ...nodeOptions, main, ...argv]
  const child = spawn(command, rest, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const said = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  return { process: child, stdout: () => said.stdout, stderr: () => said.stderr }
}
