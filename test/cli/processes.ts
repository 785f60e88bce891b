/** Real processes, with what they print and how they end. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

export interface Place {
  readonly cwd: string
  readonly env: Record<string, string>
}

export interface Background {
  /** The first line of standard error. */
  readonly firstLine: string
  /** Sends SIGINT and waits for the end: what else it printed, then the exit code when it is not 0. */
  stop(): Promise<string[]>
}

/** Runs a line of shell: standard output, then standard error with `! `, then the exit code when it is not 0. */
export async function shell(command: string, { cwd, env }: Place): Promise<string[]> {
  const child = spawn('/bin/sh', ['-c', command], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  }
  const [code] = await once(child, 'close')
  const lines = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/u, '').split('\n'))
  return [
    ...lines(output.stdout),
    ...lines(output.stderr).map((line) => `! ${line}`),
    ...(code === 0 ? [] : [`[exit ${String(code)}]`]),
  ]
}

/** Starts a line of shell and waits for its first line on standard error. */
export async function background(command: string, { cwd, env }: Place): Promise<Background> {
  const child = spawn('/bin/sh', ['-c', `exec ${command}`], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] })
  const closed = once(child, 'close')
  const lines: string[] = []
  const reader = createInterface({ input: child.stderr }).on('line', (line) => lines.push(line))
  await Promise.race([once(reader, 'line'), closed])
  return {
    firstLine: lines[0] ?? `ended with ${String(child.exitCode)}`,
    async stop() {
      child.kill('SIGINT')
      await closed
      const { exitCode, signalCode } = child
      const rest = lines.slice(1).map((line) => `! ${line}`)
      return exitCode === 0 ? rest : [...rest, `[exit ${String(exitCode ?? signalCode)}]`]
    },
  }
}

/** A port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('not a port')
  return address.port
}
