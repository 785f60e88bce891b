/** Records under a data key in memory: the synchronous path that an encrypted column takes, beside its bare calls. */

import { bundleSizes } from './bundle-sizes.ts'
import { compare, printComparison, ratioOf, type Comparison } from './comparison.ts'
import { roundsAndDryRun } from './flags.ts'
import { ageRecords } from './peers/age.ts'
import { awsRecords } from './peers/aws.ts'
import { cloakRecords } from './peers/cloak.ts'
import { hpkeRecords } from './peers/hpke.ts'
import { joseRecords } from './peers/jose.ts'
import { libsodiumRecords } from './peers/libsodium.ts'
import { longholdRecords } from './peers/longhold-records.ts'
import { makePlaintext } from './peers/record-peer.ts'
import { publish } from './publish.ts'
import { recordFloor } from './record-floor.ts'
import { startOrigin } from './report.ts'
import type { Target } from './targets.ts'

const sizes = [100, 1024, 16_384, 65_536]
const { rounds, dryRun } = roundsAndDryRun()
const finish = startOrigin(`pnpm --dir bench run records --rounds ${rounds}`, [
  '@47ng/cloak',
  '@aws-crypto/client-node',
  'age-encryption',
  'hpke',
  'jose',
  'libsodium-wrappers',
])

const peers = [
  longholdRecords.native,
  recordFloor,
  longholdRecords.portable,
  cloakRecords,
  joseRecords,
  awsRecords,
  libsodiumRecords,
  hpkeRecords,
  ageRecords,
]
const bundles = await bundleSizes()
const comparisons: Comparison[] = []
for (const size of sizes) {
  const plaintext = makePlaintext(size)
  const prepared = []
  for (const peer of peers) prepared.push({ peer, operations: await peer.prepare(plaintext) })
  for (const operation of ['encrypt', 'decrypt'] as const) {
    const contestants = prepared.map(({ peer: { name, kind, note, before, library }, operations }) => ({
      name,
      kind,
      note,
      extraBytes: operations.recordBytes - size,
      bundleBytes: bundles.find((bundle) => bundle.library === library)?.gzipBytes,
      run: operations[operation],
      ...(before && { before }),
    }))
    const title = `${operation === 'encrypt' ? 'Encrypt' : 'Decrypt'} a record of ${size} bytes`
    const comparison = await compare(title, contestants, rounds)
    printComparison(comparison)
    comparisons.push(comparison)
  }
}

publish(
  {
    name: 'records',
    title: 'Records under a data key',
    what: 'microseconds for one record under a data key in memory, context of three pairs',
    comparisons,
    targets: targets(),
    rounds,
    more: { bundles },
  },
  finish(),
  dryRun,
)

/** Of the smallest record, where the library's own work weighs most. */
function targets(): Target[] {
  const [encrypted, decrypted] = comparisons
  if (encrypted === undefined || decrypted === undefined) throw new Error('nothing was measured')
  const ours = longholdRecords.native.name
  const perMillisecond = 1000 / (encrypted.rows[0]?.microseconds.median ?? Number.NaN)
  const share = (comparison: Comparison) => 100 * ratioOf(comparison, recordFloor.name, ours).median
  const slower = (decrypted.rows[0]?.microseconds.median ?? 0) / (encrypted.rows[0]?.microseconds.median ?? 1)
  return [
    {
      what: 'Encrypt 100 bytes, thousands a second on one core',
      atLeast: 60,
      measured: perMillisecond,
      unit: ' k/s',
    },
    {
      what: 'Encrypt 100 bytes: the bare calls as a share of ours',
      atLeast: 85,
      measured: share(encrypted),
      unit: ' %',
    },
    { what: 'Decrypt 100 bytes: time against encrypt', atMost: 1, measured: slower, unit: '×' },
    {
      what: 'Decrypt 100 bytes: the bare calls as a share of ours',
      atLeast: 85,
      measured: share(decrypted),
      unit: ' %',
    },
  ]
}
