/** The runtimes of this package, and how each runs a module and says what its `run()` gave. */

import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { findChromium, runInChromium } from '../browser/chromium.ts'
import { bundleVectors } from '../bundle.ts'
import type { EverywhereReport } from '../vectors/everywhere.ts'

export interface Runtime {
  readonly name: string
  /** The backend that must be chosen there, where that is a promise of ours. */
  readonly backend?: 'native' | 'noble'
  /** `undefined` where the runtime cannot be had. */
  readonly run: ((folder: string) => Promise<{ version: string; report: EverywhereReport }>) | undefined
}

/** What the module is called in the folder that `run` gets; made by `writeModule`. */
const moduleName = 'vectors.mjs'
const packages = join(import.meta.dirname, 'node_modules')
const platform = `${process.platform}-${process.arch}`

/** For all runtimes that are no browser. */
export async function writeModule(folder: string): Promise<void> {
  writeFileSync(join(folder, moduleName), await bundleVectors('neutral'))
  writeFileSync(
    join(folder, 'main.mjs'),
    `import { run } from './${moduleName}'\nconsole.log('\\n' + JSON.stringify(await run()))\n`,
  )
}

export async function runtimes(): Promise<readonly Runtime[]> {
  const node26 = join(import.meta.dirname, '../../node_modules/.bin/node')
  return [
    { name: 'Node 22', backend: 'noble', run: program(`node-22-${platform}/bin/node`) },
    { name: 'Node 24', backend: 'native', run: program(`node-24-${platform}/bin/node`) },
    { name: 'Node 26', backend: 'native', run: program(node26) },
    { name: 'Bun', run: program(bunPath(), ['run']) },
    { name: 'Deno', run: program(denoPath(), ['run', '--no-lock', '--cached-only', '--no-prompt']) },
    { name: 'workerd', backend: 'noble', run: workerd([]) },
    { name: 'workerd, nodejs_compat', run: workerd(['nodejs_compat']) },
    { name: 'Chromium', backend: 'noble', run: await chromium() },
  ]
}

function bunPath(): string {
  const cpu = process.arch === 'arm64' ? 'aarch64' : 'x64-baseline'
  return `@oven/bun-${process.platform}-${cpu}/bin/bun`
}

function denoPath(): string {
  const libc = process.platform === 'linux' ? '-glibc' : ''
  return `@deno/${platform}${libc}/deno`
}

/** A program that runs a module of the folder. It reads nothing else, and gets no network. */
function program(path: string, args: readonly string[] = []): Runtime['run'] {
  const binary = path.startsWith('/') ? path : join(packages, path)
  if (!existsSync(binary)) return undefined
  return async (folder) => {
    const version = (await output(binary, ['--version'], folder)).split('\n')[0] ?? ''
    return { version, report: reportIn(await output(binary, [...args, join(folder, 'main.mjs')], folder)) }
  }
}

function workerd(flags: readonly string[]): Runtime['run'] {
  const cpu = process.arch === 'x64' ? '64' : process.arch
  const binary = join(packages, `@cloudflare/workerd-${process.platform}-${cpu}/bin/workerd`)
  if (!existsSync(binary)) return undefined
  return async (folder) => {
    const config = join(folder, `workerd-${flags.join('-')}.capnp`)
    writeFileSync(join(folder, 'worker.mjs'), worker)
    writeFileSync(config, workerdConfig(flags))
    const version = (await output(binary, ['--version'], folder)).trim()
    return { version, report: reportIn(await output(binary, ['test', config], folder)) }
  }
}

const worker = `import { run } from './${moduleName}'
export default { async test() { console.log('\\n' + JSON.stringify(await run())) } }
`

const workerdConfig = (flags: readonly string[]) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .main)]);
const main :Workerd.Worker = (
  modules = [
    (name = "worker.mjs", esModule = embed "worker.mjs"),
    (name = "${moduleName}", esModule = embed "${moduleName}"),
  ],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = [${flags.map((flag) => `"${flag}"`).join(', ')}],
);
`

async function chromium(): Promise<Runtime['run']> {
  const browser = await findChromium().catch(() => undefined)
  if (browser === undefined) return undefined
  return async () => ({
    version: browser.version,
    report: (await runInChromium(browser, await bundleVectors('browser'))) as EverywhereReport,
  })
}

async function output(binary: string, args: readonly string[], folder: string): Promise<string> {
  // A home of its own: no runtime leaves anything in that of the caller, or reads a configuration there.
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, DENO_NO_UPDATE_CHECK: '1', DO_NOT_TRACK: '1' }
  const options = { cwd: folder, env, timeout: 120_000, maxBuffer: 2 ** 26 }
  const { stdout, stderr } = await promisify(execFile)(binary, args, options)
  return stdout + stderr
}

function reportIn(printed: string): EverywhereReport {
  const line = printed.split('\n').find((each) => each.includes('{"chosen"'))
  if (line === undefined) throw new Error(`no report in: ${printed.slice(0, 2000)}`)
  return JSON.parse(line.slice(line.indexOf('{"chosen"'))) as EverywhereReport
}
