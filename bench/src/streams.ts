/** 64 MiB from memory to memory through streams, beside the bare chunk loop and the streams of others. */

import { randomFillSync } from 'node:crypto'

import { bundleSizes } from './bundle-sizes.ts'
import { compare, printComparison, ratioOf, type Comparison } from './comparison.ts'
import { roundsAndDryRun } from './flags.ts'
import { ageStreams } from './peers/age.ts'
import { awsStreams } from './peers/aws.ts'
import { libsodiumStreams } from './peers/libsodium.ts'
import { longholdStreams, streamNames } from './peers/longhold-streams.ts'
import type { StreamPeer } from './peers/stream-peer.ts'
import { publish } from './publish.ts'
import { startOrigin } from './report.ts'
import { chunkLoop } from './stream-floor.ts'
import { print, printTable } from './table.ts'
import type { Target } from './targets.ts'

const mebibytes = 64
const { rounds, dryRun } = roundsAndDryRun(15)
const finish = startOrigin(`pnpm --dir bench run streams --rounds ${rounds}`, [
  '@aws-crypto/client-node',
  'age-encryption',
  'libsodium-wrappers',
])

const plaintext = randomFillSync(new Uint8Array(mebibytes * 1024 * 1024))
const floorName = 'floor: the bare chunk loop'
const floor: StreamPeer = {
  name: floorName,
  kind: 'floor',
  library: 'none',
  ...chunkLoop(plaintext),
  streamBytes: plaintext.length + 16 * (plaintext.length / 16_384 + 1) + 56,
}
const [web, ...others] = await longholdStreams(plaintext)
if (web === undefined) throw new Error('no streams')
const peers = [
  web,
  floor,
  ...others,
  await awsStreams(plaintext),
  await libsodiumStreams(plaintext),
  await ageStreams(plaintext),
]

const bundles = await bundleSizes()
// One pass takes longer than a sample: each slot is one pass.
const method = { samples: 1, sampleMs: 1, warmUpMs: 500 }
const comparisons: Comparison[] = []
for (const operation of ['encrypt', 'decrypt'] as const) {
  const contestants = peers.map(({ name, kind, note, library, streamBytes, ...run }) => ({
    name,
    kind,
    note,
    extraBytes: streamBytes - plaintext.length,
    bundleBytes: bundles.find((bundle) => bundle.library === library)?.gzipBytes,
    run: run[operation],
  }))
  const title = `${operation === 'encrypt' ? 'Encrypt' : 'Decrypt'} a stream of ${mebibytes} MiB`
  const comparison = await compare(title, contestants, rounds, method)
  printComparison(comparison)
  comparisons.push(comparison)
}
print('\nGB for one second of CPU time')
printTable(
  ['', ...comparisons.map(({ title }) => title)],
  peers.map(({ name }) => [
    name,
    ...comparisons.map(({ rows }) => {
      const microseconds = rows.find((row) => row.name === name)?.microseconds.median ?? Number.NaN
      return (plaintext.length / microseconds / 1000).toFixed(2)
    }),
  ]),
)

publish(
  {
    name: 'streams',
    title: `Streams of ${mebibytes} MiB, memory to memory`,
    what: `microseconds for ${mebibytes} MiB, pieces of 64 KiB unless it says otherwise`,
    comparisons,
    targets: comparisons.flatMap(targets),
    rounds,
    method: { ...method, bytes: plaintext.length },
    more: { bundles },
  },
  finish(),
  dryRun,
)

function targets(comparison: Comparison): Target[] {
  const share = (name: string, atLeast: number): Target => ({
    what: `${comparison.title}: ${name}, speed as a share of the bare loop's`,
    atLeast,
    measured: 100 * ratioOf(comparison, floorName, name).median,
    unit: ' %',
  })
  return [share(streamNames.web, 60), share(streamNames.node, 80)]
}
