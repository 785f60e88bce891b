/** Real processes: the command line, the key service, the application. */

import { execFile, fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

/** The file behind the command `longhold`. */
const longholdPath = (() => {
  const manifest = createRequire(import.meta.url).resolve('@longhold/cli/package.json')
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { longhold: string } }
  return join(dirname(manifest), bin.longhold)
})()

export interface Place {
  /** Where the commands run; `longhold.yaml` is there. */
  readonly directory: string
  kmsUrl?: string
}

const environment = ({ kmsUrl }: Place) => ({
  ...process.env,
  ...(kmsUrl === undefined ? {} : { LONGHOLD_KMS_URL: kmsUrl }),
})

/** Runs `longhold …` to its end. Fails with what it said unless it ends with 0. */
export async function longhold(place: Place, ...args: string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    const options = { cwd: place.directory, env: environment(place), maxBuffer: 64 * 1024 * 1024 }
    execFile(process.execPath, [longholdPath, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`longhold ${args.join(' ')} ended with ${error.code}:\n${stderr}${stdout}`))
    })
  })
}

/** Starts `longhold …` and kills it with SIGKILL once `isTime` says so. */
export async function longholdKilled(place: Place, isTime: () => boolean, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [longholdPath, ...args], {
    cwd: place.directory,
    env: environment(place),
    stdio: 'ignore',
  })
  const ended = exitOf(child)
  const timer = setInterval(() => {
    if (isTime()) child.kill('SIGKILL')
  }, 10)
  const { signal } = await ended
  clearInterval(timer)
  if (signal !== 'SIGKILL') throw new Error('the run ended before it could be killed')
}

export interface RunningService {
  readonly url: string
  stop(): Promise<void>
}

/** Starts the key service on a free port of the loopback interface. */
export async function startKeyService(place: Place): Promise<RunningService> {
  const args = [longholdPath, 'kms', 'serve', '--listen', '127.0.0.1:0', '--json']
  const child = spawn(process.execPath, args, {
    cwd: place.directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = exitOf(child)
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve)
    void ended.then(({ code }) => reject(new Error(`the key service ended with ${code}`)))
  })
  const { url } = JSON.parse(line) as { url: string }
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

export interface Account {
  readonly updates: number
  /** The newest revision of every letter that was updated. */
  readonly revisions: ReadonlyMap<number, number>
}

export interface RunningApplication {
  /** Lets it finish the update it is at and gives its account. */
  stop(): Promise<Account>
}

export function startApplication(...args: string[]): RunningApplication {
  const child = fork(join(import.meta.dirname, 'application.ts'), args)
  const account = new Promise<Account>((resolve, reject) => {
    child.once('message', (message) => {
      const { updates, revisions } = message as { updates: number; revisions: [number, number][] }
      resolve({ updates, revisions: new Map(revisions) })
    })
    child.once('exit', (code) => reject(new Error(`the application ended with ${code}`)))
  })
  return {
    async stop() {
      if (child.connected) child.send('stop')
      return await account
    },
  }
}

async function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return await new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
}
