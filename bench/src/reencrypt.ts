/**
 * Bulk re-encryption: `longhold reencrypt run` as a process of its own, from RSA-wrapped values in a table or in NDJSON to
 * verified records, beside RSA alone on the same number of threads, measured before and after it.
 */

import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { generateIdentity } from '../../packages/core/src/index.ts'
import { makeWrappedKeys, writeNdjson, writeTable, type WrappedKey } from './reencrypt-input.ts'
import { describeOrigin, startOrigin, writeResults } from './report.ts'
import { RsaAlone } from './rsa-alone.ts'
import { print, printTable } from './table.ts'
import { judge, printVerdicts } from './targets.ts'

const sources = {
  sqlite: { file: 'notes.db', write: writeTable, flags: ['--table', 'notes', '--column', 'body'] },
  ndjson: { file: 'notes.ndjson', write: writeNdjson, flags: ['--column', 'body', '--id', 'id'] },
}
type SourceName = keyof typeof sources

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    bits: { type: 'string', default: '2048' },
    threads: { type: 'string', default: String(availableParallelism()) },
    source: { type: 'string', multiple: true, default: ['sqlite', 'ndjson'] },
    repeat: { type: 'string', default: '1' },
    'dry-run': { type: 'boolean', default: false },
  },
})
const [rows, bits, threads, repeat] = [flags.rows, flags.bits, flags.threads, flags.repeat].map(Number) as [
  number,
  number,
  number,
  number,
] // four in, four out
const names = flags.source.map((name) => {
  if (name in sources) return name as SourceName
  throw new Error(`no source ${name}: ${Object.keys(sources).join(', ')}`)
})

interface Run {
  readonly source: SourceName
  readonly rsaAlonePerSecond: { before: number; after: number }
  readonly rowsPerSecond: number
  /** From start to exit of the process, its trial and its second pass included. */
  readonly seconds: number
  /** Rows per second as a share of RSA alone. */
  readonly share: number
  readonly peakMemoryMiB: number | undefined
}

const given = `--rows ${rows} --bits ${bits} --threads ${threads} --repeat ${repeat} ${names.map((name) => `--source ${name}`).join(' ')}`
const finish = startOrigin(`pnpm --dir bench run reencrypt ${given}`, [])
const directory = mkdtempSync(join(tmpdir(), 'longhold-bench-'))
const runs: Run[] = []
try {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits })
  const identity = generateIdentity()
  const keyFile = join(directory, 'old.pem')
  const identityFile = join(directory, 'identity.txt')
  writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  writeFileSync(identityFile, `${identity.exportText()}\n`, { mode: 0o600 })

  const keys = makeWrappedKeys(publicKey, Math.min(rows, 5000))
  const alone = await RsaAlone.start(
    privateKey,
    keys.map(({ wrapped }) => wrapped),
    threads,
  )
  for (let round = 0; round < repeat; round++) {
    for (const name of names)
      runs.push(
        await measureRun(name, alone, keys, {
          keyFile,
          identityFile,
          recipient: identity.recipient.toString(),
        }),
      )
  }
  await alone.stop()
} finally {
  rmSync(directory, { recursive: true, force: true })
}

print(`\n${rows} values of 256 bytes, RSA-${bits}, ${threads} threads`)
printTable(
  ['', 'RSA alone per second', 'rows per second', 'share', 'seconds', 'peak MiB'],
  runs.map(
    ({ source, rsaAlonePerSecond: { before, after }, rowsPerSecond, share, seconds, peakMemoryMiB }) => [
      source,
      `${before.toFixed(0)}, ${after.toFixed(0)}`,
      rowsPerSecond.toFixed(0),
      `${(100 * share).toFixed(0)} %`,
      seconds.toFixed(1),
      peakMemoryMiB?.toFixed(0) ?? 'not known',
    ],
  ),
)
const verdicts = judge(
  runs.map(({ source, share }) => ({
    what: `${source}: rows per second as a share of RSA alone`,
    atLeast: 92,
    measured: 100 * share,
    unit: ' %',
  })),
)
printVerdicts(verdicts)
const origin = finish()
print(`\n${describeOrigin(origin)}`)
if (!flags['dry-run']) {
  writeResults('reencrypt', {
    what: 'bulk re-encryption beside RSA alone',
    origin,
    rows,
    bits,
    threads,
    runs,
    targets: verdicts,
  })
}

interface Files {
  readonly keyFile: string
  readonly identityFile: string
  readonly recipient: string
}

async function measureRun(
  source: SourceName,
  alone: RsaAlone,
  keys: readonly WrappedKey[],
  files: Files,
): Promise<Run> {
  const { file, write, flags: place } = sources[source]
  const home = mkdtempSync(join(directory, `${source}-`))
  const target = join(home, file)
  write(target, rows, keys)
  const common = ['--identity', files.identityFile, ...place]
  const runFlags = [
    '--private-key',
    files.keyFile,
    '--recipient',
    files.recipient,
    '--workers',
    String(threads),
    '--execute',
  ]

  const before = await alone.perSecond(Math.ceil(rows / 4))
  const start = performance.now()
  const peakMemoryMiB = await longhold(home, ['reencrypt', 'run', target, ...common, ...runFlags])
  const seconds = (performance.now() - start) / 1000
  const after = await alone.perSecond(Math.ceil(rows / 4))

  await longhold(home, ['reencrypt', 'verify', target, ...common])
  rmSync(home, { recursive: true, force: true })
  const rowsPerSecond = rows / seconds
  return {
    source,
    rsaAlonePerSecond: { before, after },
    rowsPerSecond,
    seconds,
    share: rowsPerSecond / ((before + after) / 2),
    peakMemoryMiB,
  }
}

/** Runs the command line tool and resolves with the most memory it had, where the platform tells. */
async function longhold(home: string, args: readonly string[]): Promise<number | undefined> {
  const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main, ...args], { cwd: home, stdio: ['ignore', 'ignore', 'pipe'] })
  let messages = ''
  child.stderr.on('data', (chunk: Buffer) => (messages += chunk.toString()))
  let peak: number | undefined
  const watch = setInterval(() => (peak = peakMemory(child.pid) ?? peak), 100)
  const [code] = (await once(child, 'close')) as [number | null] // as node:child_process says
  clearInterval(watch)
  if (code !== 0) throw new Error(`longhold ${args.slice(0, 2).join(' ')} ended with ${code}:\n${messages}`)
  return peak
}

/** The high-water mark of the resident set that Linux keeps. */
function peakMemory(pid: number | undefined): number | undefined {
  try {
    const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return found?.[1] === undefined ? undefined : Number(found[1]) / 1024
  } catch {
    return undefined // another platform, or it has just ended
  }
}
