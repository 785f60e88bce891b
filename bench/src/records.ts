/** Records under a data key in memory: the synchronous path that an encrypted column takes, beside its bare calls. */

import { parseArgs } from 'node:util'

import { DataKey, canonicalContext } from '../../packages/core/src/index.ts'
import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import { drawChart } from './chart.ts'
import {
  compare,
  comparisonBars,
  comparisonData,
  printComparison,
  ratioOf,
  type Comparison,
} from './comparison.ts'
import { defaults } from './harness.ts'
import { expectBytes } from './peers/peer.ts'
import { recordFloor } from './record-floor.ts'
import { describeOrigin, startOrigin, writeResults } from './report.ts'
import { print } from './table.ts'
import { judge, printVerdicts, type Target } from './targets.ts'

const sizes = [100, 1024, 16_384]
const names = {
  ours: 'longhold, node:crypto',
  bare: 'floor: the bare node:crypto calls',
  portable: 'longhold, portable',
}

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: String(defaults.rounds) },
    'dry-run': { type: 'boolean', default: false },
  },
})
const rounds = Number(flags.rounds)
const finish = startOrigin(`pnpm --dir bench run records --rounds ${rounds}`, [])

const recordContext = { table: 'people', column: 'email', id: '4711' }
const comparisons: Comparison[] = []
const targets: Target[] = []
for (const size of sizes) {
  const { encrypt, decrypt } = contestants(size)
  const encrypted = await compare(`Encrypt a record of ${size} bytes`, encrypt, rounds)
  printComparison(encrypted)
  const decrypted = await compare(`Decrypt a record of ${size} bytes`, decrypt, rounds)
  printComparison(decrypted)
  comparisons.push(encrypted, decrypted)
  if (size === 100) targets.push(...targetsOf(encrypted, decrypted))
}
const verdicts = judge(targets)
printVerdicts(verdicts)
const origin = finish()
print(`\n${describeOrigin(origin)}`)

if (!flags['dry-run']) {
  const data = {
    what: 'records under a data key in memory, context of three pairs, microseconds for one record',
    origin,
    method: {
      ...defaults,
      rounds,
      interleaved: true,
      ratios: 'median of the quotients of one round',
      time: 'cpu: of this thread; clock: where the work waits for other threads',
    },
    comparisons: comparisons.map(comparisonData),
    targets: verdicts,
  }
  const chart = drawChart({
    title: 'Records under a data key',
    axis: 'microseconds for one record, logarithmic scale, shorter is better; × against longhold on node:crypto; blue: longhold, grey: the floor',
    groups: comparisons.map(comparisonBars),
    footer: describeOrigin(origin).split('\n'),
  })
  writeResults('records', data, chart)
}

function contestants(size: number) {
  const plaintext = crypto.getRandomValues(new Uint8Array(size))
  const onBackend = (backend: 'native' | 'noble', name: string) => {
    const before = () => testingUseBackend(backend)
    before()
    const dataKey = DataKey.generate()
    const record = dataKey.encrypt(plaintext, { recordContext })
    expectBytes(dataKey.decrypt(record, { recordContext }), plaintext, `${name} decrypts`)
    const kind = 'ours' as const
    return {
      encrypt: { name, kind, before, run: () => dataKey.encrypt(plaintext, { recordContext }) },
      decrypt: { name, kind, before, run: () => dataKey.decrypt(record, { recordContext }) },
    }
  }
  const ours = onBackend('native', names.ours)
  const portable = onBackend('noble', names.portable)
  // Prefix of the construction, salt, label and key id, context.
  const infoBytes = 48 + 24 + 18 + 16 + canonicalContext(recordContext).length
  const bare = recordFloor(plaintext, infoBytes)
  const floor = { name: names.bare, kind: 'floor' as const }
  return {
    encrypt: [ours.encrypt, { ...floor, run: bare.encrypt }, portable.encrypt],
    decrypt: [ours.decrypt, { ...floor, run: bare.decrypt }, portable.decrypt],
  }
}

function targetsOf(encrypted: Comparison, decrypted: Comparison): Target[] {
  const microseconds = ({ rows }: Comparison) => rows[0]?.microseconds.median ?? Number.NaN
  const share = (comparison: Comparison) => 100 * ratioOf(comparison, names.bare, names.ours).median
  return [
    {
      what: 'Encrypt 100 bytes, thousands a second on one core',
      atLeast: 60,
      measured: 1000 / microseconds(encrypted),
      unit: ' k/s',
    },
    {
      what: 'Encrypt 100 bytes: the bare calls as a share of ours',
      atLeast: 85,
      measured: share(encrypted),
      unit: ' %',
    },
    {
      what: 'Decrypt 100 bytes against encrypt',
      atLeast: 1,
      measured: microseconds(encrypted) / microseconds(decrypted),
      unit: '×',
    },
    {
      what: 'Decrypt 100 bytes: the bare calls as a share of ours',
      atLeast: 85,
      measured: share(decrypted),
      unit: ' %',
    },
  ]
}
