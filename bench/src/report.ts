/** Where and with what a run was made, and its files under results/. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'

import { print } from './table.ts'

const here = (path: string) => new URL(path, import.meta.url)

export interface Origin {
  readonly date: string
  readonly command: string
  readonly commit: string
  /** Files under packages/ or bench/src/ that differ from the commit. */
  readonly uncommitted: number
  readonly machine: {
    cpu: string
    cores: number
    memoryGiB: number
    platform: string
    load: { before: number; after: number }
  }
  readonly versions: Readonly<Record<string, string>>
}

/** To be called before measuring; what it returns is called afterwards. No host name and no path is recorded. */
export function startOrigin(command: string, packages: readonly string[]): () => Origin {
  const [before = 0] = loadavg()
  const date = new Date().toISOString()
  const commit = git('rev-parse', 'HEAD')
  const changed = git('status', '--porcelain', '--', 'packages', 'bench/src').split('\n')
  return () => {
    const [after = 0] = loadavg()
    return {
      date,
      command,
      commit,
      uncommitted: changed.filter((line) => line !== '').length,
      machine: {
        cpu: cpus()[0]?.model.trim() ?? 'unknown',
        cores: cpus().length,
        memoryGiB: Math.round(totalmem() / 2 ** 30),
        platform: `${process.platform} ${process.arch}`,
        load: { before, after },
      },
      versions: {
        node: process.versions.node,
        openssl: process.versions.openssl,
        v8: process.versions.v8,
        ...Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
      },
    }
  }
}

/** Load above which others were at work: what waits for other threads then waits for them too. */
const quietLoad = 0.7

export function describeOrigin({ machine, versions, commit, uncommitted, command, date }: Origin): string {
  const { cpu, cores, memoryGiB, platform, load } = machine
  const { node, openssl, v8: _v8, ...libraries } = versions
  const used = [
    `Node ${node}`,
    `OpenSSL ${openssl}`,
    ...Object.entries(libraries).map((pair) => pair.join(' ')),
  ]
  return [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}, load ${load.before.toFixed(2)} to ${load.after.toFixed(2)}`,
    used.join(', '),
    `commit ${commit.slice(0, 12)}${uncommitted > 0 ? ` and ${uncommitted} files not committed` : ''}, ${date}`,
    `command: ${command}`,
    ...(load.before > quietLoad ? ['not a quiet machine: numbers of clock time are not to be quoted'] : []),
  ].join('\n')
}

/** Writes results/NAME.json and, where there is one, results/NAME.svg. */
export function writeResults(name: string, data: unknown, svg?: string): void {
  mkdirSync(here('../results/'), { recursive: true })
  writeFileSync(here(`../results/${name}.json`), `${JSON.stringify(data, rounded, 2)}\n`)
  if (svg !== undefined) writeFileSync(here(`../results/${name}.svg`), svg)
  const written = svg === undefined ? `${name}.json` : `${name}.json and ${name}.svg`
  print(`\nwrote bench/results/${written}`)
}

/** Four significant digits: more would be noise. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
}

function versionOf(name: string): string {
  const manifest: unknown = JSON.parse(readFileSync(here(`../node_modules/${name}/package.json`), 'utf8'))
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version)
  return 'unknown'
}

function git(...args: readonly string[]): string {
  try {
    return execFileSync('git', args, { cwd: here('../..'), encoding: 'utf8' }).trim()
  } catch {
    return ''
  }
}
