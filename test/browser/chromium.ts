/** A real Chromium without a screen: the machine's own, or the one that comes as an npm package. */

import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliDecompressSync } from 'node:zlib'

export interface Browser {
  readonly path: string
  readonly version: string
  /** Libraries it needs and the machine lacks. */
  readonly env: Record<string, string>
}

const wellKnown = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** @throws Error that says what was tried, and what to do, when there is none. */
export async function findChromium(): Promise<Browser> {
  const named = process.env['CHROMIUM']
  if (named !== undefined) return await probe(named)
  const tried: string[] = []
  for (const path of wellKnown.filter((known) => existsSync(known))) {
    try {
      return await probe(path)
    } catch (error) {
      tried.push(`${path}: ${firstLine(error)}`)
    }
  }
  try {
    return await packaged()
  } catch (error) {
    tried.push(`@sparticuz/chromium: ${firstLine(error)}`)
  }
  throw new Error(`no Chromium (${tried.join('; ')}): install one, or set CHROMIUM to its path`)
}

/** Its compressed programs, written once into a cache of this repository: by the package itself they would all share /tmp. */
async function packaged(): Promise<Browser> {
  const folder = join(dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '..')
  const bin = join(folder, 'bin')
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
  const cache = join(import.meta.dirname, '../../node_modules/.cache', `chromium-${version}-${process.arch}`)
  if (!existsSync(cache)) {
    mkdirSync(dirname(cache), { recursive: true })
    const fresh = mkdtempSync(`${cache}-`)
    writeFileSync(join(fresh, 'chromium'), inflate(join(bin, 'chromium.br')), { mode: 0o755 })
    // NSS and what else it needs beside the C library: an archive with one folder, lib.
    const archive = join(fresh, 'lib.tar')
    writeFileSync(archive, inflate(join(bin, 'al2023.tar.br')))
    execFileSync('tar', ['-xf', archive, '-C', fresh])
    rmSync(archive)
    try {
      renameSync(fresh, cache)
    } catch {
      rmSync(fresh, { recursive: true }) // another process was first
    }
  }
  const path = join(cache, 'chromium')
  try {
    return await probe(path)
  } catch {
    return await probe(path, { LD_LIBRARY_PATH: join(cache, 'lib') })
  }
}

const inflate = (path: string) => brotliDecompressSync(readFileSync(path))

async function probe(path: string, env: Record<string, string> = {}): Promise<Browser> {
  const options = { env: { ...process.env, ...env }, timeout: 20_000 }
  const { stdout } = await promisify(execFile)(path, ['--version', '--no-sandbox'], options)
  return { path, version: stdout.trim(), env }
}

const firstLine = (error: unknown) => String(error instanceof Error ? error.message : error).split('\n')[0]

/**
 * Serves `module` on the loopback interface, opens a page that imports it and awaits its `run()`, and gives what that
 * returned.
 *
 * @throws Error what the page threw; when it said nothing within `timeoutMs`, what the browser printed.
 */
export async function runInChromium(browser: Browser, module: string, timeoutMs = 60_000): Promise<unknown> {
  const answer = Promise.withResolvers<string>()
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        response.end()
        answer.resolve(Buffer.concat(parts).toString())
      })
      return
    }
    const isModule = request.url === '/module.js'
    response.setHeader('content-type', isModule ? 'text/javascript' : 'text/html')
    response.end(isModule ? module : page)
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // a TCP server has one
  const profile = mkdtempSync(join(tmpdir(), 'longhold-chromium-'))
  const child = spawn(browser.path, [...flags, `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`], {
    env: { ...process.env, ...browser.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let printed = ''
  child.stderr.on('data', (part: Buffer) => (printed = (printed + part.toString()).slice(-4000)))
  const ended = new Promise<void>((resolve) => void child.once('close', () => resolve()))
  child.once('error', answer.reject)
  const timer = setTimeout(
    () => answer.reject(new Error(`the browser did not answer: ${printed}`)),
    timeoutMs,
  )
  void ended.then(() => answer.reject(new Error(`the browser ended before it answered: ${printed}`)))
  try {
    const { failed, value } = JSON.parse(await answer.promise) as { failed?: string; value: unknown }
    if (failed !== undefined) throw new Error(failed)
    return value
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
    await ended
    server.closeAllConnections()
    server.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** No sandbox: the page is our own, and containers often forbid what a sandbox is made of. */
export const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
]

const page = `<!doctype html><meta charset="utf-8"><title>vectors</title><script type="module">
  let report
  try {
    const { run } = await import('/module.js')
    report = { value: await run() }
  } catch (error) {
    report = { failed: String(error?.stack ?? error) }
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(report) })
</script>`
