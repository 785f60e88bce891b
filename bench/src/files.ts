/** File to file: the library and the command line beside a plain copy and the glue that is written first. */

import { execFileSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { ciphertextSize, generateIdentity } from '../../packages/core/src/index.ts'
import { comparisonOf, printComparison, ratioOf, type Comparison } from './comparison.ts'
import { publish } from './publish.ts'
import { startOrigin } from './report.ts'
import { ScratchDirectory } from './scratch.ts'
import { median } from './statistics.ts'
import { print, printTable } from './table.ts'
import type { Target } from './targets.ts'

const mebibyte = 1024 * 1024

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    mib: { type: 'string', default: '1024' },
    /** Where the files lie, if not in memory. */
    dir: { type: 'string' },
    'dry-run': { type: 'boolean', default: false },
  },
})
const [rounds, mebibytes] = [Number(flags.rounds), Number(flags.mib)] as const
const finish = startOrigin(`pnpm --dir bench run files --rounds ${rounds} --mib ${mebibytes}`, [])

interface Taken {
  readonly seconds: number
  readonly idleBytes: number
  readonly peakBytes: number
}
interface Way {
  readonly name: string
  readonly kind: 'ours' | 'floor' | 'peer'
  readonly note?: string
  readonly run: (input: string, output: string) => Taken
}

using directory = new ScratchDirectory(flags.dir)
const path = (name: string) => directory.file(name)
const [plain, envelope, output, empty, emptyEnvelope, identityFile] = [
  'plain',
  'plain.lh',
  'output',
  'empty',
  'empty.lh',
  'identity.txt',
].map(path) as [string, string, string, string, string, string] // six in, six out

const identity = generateIdentity()
writeFileSync(identityFile, `${identity.exportText()}\n`, { mode: 0o600 })
const recipient = identity.recipient.toString()
writeRandom(plain, mebibytes)
writeFileSync(empty, '')

const copy: Way = { name: 'floor: a plain copy', kind: 'floor', run: job('copy') }
const copyLoop: Way = {
  name: 'a copy by reads and writes of 1 MiB',
  kind: 'peer',
  run: job('copy-loop'),
}
const libraryName = 'longhold, encryptFile and decryptFile'
const library = (operation: 'encrypt' | 'decrypt'): Way => ({
  name: libraryName,
  kind: 'ours',
  run: job(operation),
})
const nodeStreams = (operation: 'encrypt' | 'decrypt'): Way => ({
  name: 'longhold, pipeline of node streams',
  kind: 'ours',
  run: job(`pipeline-${operation}`),
})
const glue = (operation: 'encrypt' | 'decrypt'): Way => ({
  name: 'longhold, createReadStream glue',
  kind: 'ours',
  run: job(`naive-${operation}`),
})
const commandLineName = 'longhold, command line'
const commandLine = (operation: 'encrypt' | 'decrypt'): Way => {
  const key = operation === 'encrypt' ? ['--recipient', recipient] : ['--identity', identityFile]
  const args = [operation, ...key, '--force']
  const nothing = operation === 'encrypt' ? empty : emptyEnvelope
  return {
    name: commandLineName,
    kind: 'ours',
    note: 'less what the same command takes for an empty file',
    run: (input, to) => {
      const idle = command([...args, '--output', to, nothing])
      const whole = command([...args, '--output', to, input])
      return {
        seconds: whole.seconds - idle.seconds,
        idleBytes: idle.peakBytes,
        peakBytes: whole.peakBytes,
      }
    },
  }
}

const comparisons: Comparison[] = []
const targets: Target[] = []
const memory: { title: string; name: string; overIdleMiB: number }[] = []
for (const operation of ['encrypt', 'decrypt'] as const) {
  const [from, expected] = operation === 'encrypt' ? [plain, envelope] : [envelope, plain]
  const ways = [
    library(operation),
    copy,
    copyLoop,
    commandLine(operation),
    nodeStreams(operation),
    glue(operation),
  ]
  if (operation === 'encrypt') {
    // Each way of encrypting must give what the library's own decryption opens again.
    command(['encrypt', '--recipient', recipient, '--output', emptyEnvelope, empty])
    for (const way of [commandLine(operation), nodeStreams(operation), glue(operation), library(operation)]) {
      way.run(plain, expected)
      library('decrypt').run(expected, output)
      expectSameFile(output, plain, `${way.name} encrypts`)
    }
  } else {
    for (const way of [library(operation), commandLine(operation), nodeStreams(operation), glue(operation)]) {
      way.run(from, output)
      expectSameFile(output, expected, `${way.name} decrypts`)
    }
  }
  const taken = ways.map((): Taken[] => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...ways.keys()]
    for (const i of round % 2 === 0 ? order : order.toReversed()) {
      rmSync(output, { force: true })
      const way = ways[i]
      if (way !== undefined) taken[i]?.push(way.run(from, output))
    }
  }
  const title = `${operation === 'encrypt' ? 'Encrypt' : 'Decrypt'} a file of ${mebibytes} MiB`
  const extraBytes = ciphertextSize(mebibytes * mebibyte) - mebibytes * mebibyte
  const comparison = comparisonOf(
    title,
    ways.map(({ name, kind, note }) => ({
      name,
      kind,
      note,
      ...(kind === 'ours' && { extraBytes }),
    })),
    taken.map((all) => ({ rounds: all.map(({ seconds }) => seconds * 1_000_000), time: 'clock' })),
  )
  printComparison(comparison)
  comparisons.push(comparison)
  for (const [i, { name }] of ways.entries()) {
    const overIdle = (taken[i] ?? []).map(({ peakBytes, idleBytes }) => (peakBytes - idleBytes) / mebibyte)
    memory.push({ title, name, overIdleMiB: median(overIdle) })
  }
  targets.push(...targetsOf(comparison, copy.name, glue(operation).name))
}
for (const { title, name, overIdleMiB } of memory) {
  if (name !== libraryName && name !== commandLineName) continue
  targets.push({
    what: `${title}: ${name}, memory over idle`,
    atMost: 64,
    measured: overIdleMiB,
    unit: ' MiB',
  })
}
print('\nMemory at its peak over idle')
printTable(
  ['', 'MiB'],
  memory.map(({ title, name, overIdleMiB }) => [`${title}: ${name}`, overIdleMiB.toFixed(1)]),
)

publish(
  {
    name: 'files',
    title: `Files of ${mebibytes} MiB`,
    what: `microseconds for ${mebibytes} MiB from file to file`,
    comparisons,
    targets,
    rounds,
    method: { samples: 1, bytes: mebibytes * mebibyte },
    more: { fileSystem: directory.fileSystem, memory },
  },
  finish(),
  flags['dry-run'],
)

function targetsOf(comparison: Comparison, copy: string, glue: string): Target[] {
  return [libraryName, commandLineName].flatMap((name) => [
    {
      what: `${comparison.title}: ${name}, speed against a plain copy`,
      atLeast: 0.5,
      measured: ratioOf(comparison, copy, name).median,
      unit: '×',
    },
    {
      what: `${comparison.title}: ${name}, speed against the glue`,
      atLeast: 2.5,
      measured: ratioOf(comparison, glue, name).median,
      unit: '×',
    },
  ])
}

function job(name: string): Way['run'] {
  return (input, to) => {
    const script = fileURLToPath(new URL('file-job.ts', import.meta.url))
    const answer = execFileSync(process.execPath, [script, name, input, to, identityFile], {
      encoding: 'utf8',
    })
    return JSON.parse(answer) as Taken // as file-job.ts prints it
  }
}

function command(args: readonly string[]): { seconds: number; peakBytes: number } {
  const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url))
  const usage = new URL('usage-at-exit.ts', import.meta.url).href
  const file = path('usage')
  const start = performance.now()
  execFileSync(process.execPath, ['--import', usage, main, ...args], {
    env: { ...process.env, BENCH_USAGE: file },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return { seconds: (performance.now() - start) / 1000, peakBytes: Number(readFileSync(file, 'utf8')) }
}

function writeRandom(file: string, count: number): void {
  const handle = openSync(file, 'w')
  const piece = Buffer.allocUnsafe(mebibyte)
  for (let i = 0; i < count; i++) writeSync(handle, randomFillSync(piece))
  closeSync(handle)
}

function expectSameFile(actual: string, expected: string, what: string): void {
  const handles = [actual, expected].map((file) => openSync(file, 'r'))
  const buffers = handles.map(() => Buffer.allocUnsafe(mebibyte))
  for (;;) {
    const [a, b] = handles.map((handle, i) => {
      const buffer = buffers[i] ?? Buffer.alloc(0)
      return buffer.subarray(0, readSync(handle, buffer))
    })
    if (a === undefined || b === undefined || !a.equals(b)) throw new Error(`${what}: not the same bytes`)
    if (a.length === 0) break
  }
  for (const handle of handles) closeSync(handle)
}
