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
import { RsaAlone, type RsaSpeed } from './rsa-alone.ts'
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
  readonly rsaAlone: { before: RsaSpeed; after: RsaSpeed }
  readonly rowsPerSecond: number
  /** From start to exit of the process, its trial and its second pass included. */
  readonly seconds: number
  /** Rows per second as a share of RSA alone. */
  readonly share: number
  /** How much of its CPU time the process spent where RSA alone spends it; steadier on a shared machine. */
  readonly shareOfCpu: number | undefined
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

const percent = (part: number | undefined) =>
  part === undefined ? 'not known' : `${(100 * part).toFixed(0)} %`
print(`\n${rows} values of 256 bytes, RSA-${bits}, ${threads} threads`)
printTable(
  ['', 'RSA alone per second', 'rows per second', 'share', 'share of CPU time', 'seconds', 'peak MiB'],
  runs.map(
    ({ source, rsaAlone: { before, after }, rowsPerSecond, share, shareOfCpu, seconds, peakMemoryMiB }) => [
      source,
      `${before.perSecond.toFixed(0)}, ${after.perSecond.toFixed(0)}`,
      rowsPerSecond.toFixed(0),
      percent(share),
      percent(shareOfCpu),
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

  const before = await alone.run(Math.ceil(rows / 4))
  const start = performance.now()
  const used = await longhold(home, ['reencrypt', 'run', target, ...common, ...runFlags])
  const seconds = (performance.now() - start) / 1000
  const after = await alone.run(Math.ceil(rows / 4))

  await longhold(home, ['reencrypt', 'verify', target, ...common])
  rmSync(home, { recursive: true, force: true })
  const rowsPerSecond = rows / seconds
  const rsaSeconds = (rows * (before.cpuMicroseconds + after.cpuMicroseconds)) / 2 / 1_000_000
  return {
    source,
    rsaAlone: { before, after },
    rowsPerSecond,
    seconds,
    share: rowsPerSecond / ((before.perSecond + after.perSecond) / 2),
    shareOfCpu: used === undefined ? undefined : rsaSeconds / used.cpuSeconds,
    peakMemoryMiB: used?.peakMemoryMiB,
  }
}

interface Usage {
  readonly cpuSeconds: number
  readonly peakMemoryMiB: number
}

/** Runs the command line tool and resolves with what it used, where the platform tells. */
async function longhold(home: string, args: readonly string[]): Promise<Usage | undefined> {
  const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main, ...args], { cwd: home, stdio: ['ignore', 'ignore', 'pipe'] })
  let messages = ''
  child.stderr.on('data', (chunk: Buffer) => (messages += chunk.toString()))
  let used: Usage | undefined
  const watch = setInterval(() => (used = usageOf(child.pid) ?? used), 50)
  const [code] = (await once(child, 'close')) as [number | null] // as node:child_process says
  clearInterval(watch)
  if (code !== 0) throw new Error(`longhold ${args.slice(0, 2).join(' ')} ended with ${code}:\n${messages}`)
  return used
}

/** From Linux's /proc: all threads together, in hundredths of a second, and the high-water mark of the memory. */
function usageOf(pid: number | undefined): Usage | undefined {
  try {
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    // The second field is the name in parentheses; user and system time are the 14th and 15th.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    if (peak === undefined) return undefined
    return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100, peakMemoryMiB: Number(peak) / 1024 }
  } catch {
    return undefined // another platform, or it has just ended
  }
}
