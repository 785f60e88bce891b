/**
 * A wrapped data key as it is stored: the whole header with its MAC, keys and context parsed and checked, beside what
 * the others store in its place.
 */

import { randomBytes } from 'node:crypto'

import { bundleSizes } from './bundle-sizes.ts'
import { compare, printComparison, ratioOf, type Comparison, type Contestant } from './comparison.ts'
import { roundsAndDryRun } from './flags.ts'
import { ageWraps } from './peers/age.ts'
import { awsWraps } from './peers/aws.ts'
import { hpkeCoreWraps } from './peers/hpke-core.ts'
import { hpkeWraps } from './peers/hpke.ts'
import { joseWraps } from './peers/jose.ts'
import { libsodiumWraps } from './peers/libsodium.ts'
import { longholdWraps } from './peers/longhold-wraps.ts'
import type { WrapPeer } from './peers/wrap-peer.ts'
import { publish } from './publish.ts'
import { startOrigin } from './report.ts'
import type { Target } from './targets.ts'
import { wrapFloor } from './wrap-floor.ts'

const { rounds, dryRun } = roundsAndDryRun()
const finish = startOrigin(`pnpm --dir bench run wraps --rounds ${rounds}`, [
  '@aws-crypto/client-node',
  '@hpke/core',
  '@hpke/hybridkem-x-wing',
  'age-encryption',
  'hpke',
  'jose',
  'libsodium-wrappers',
])

const dataKey = new Uint8Array(randomBytes(32))
const floor = wrapFloor(dataKey)
const peers: WrapPeer[] = []
for (const make of [
  longholdWraps.native,
  () => floor,
  longholdWraps.portable,
  hpkeWraps,
  hpkeCoreWraps,
  ageWraps,
  joseWraps,
  awsWraps,
  libsodiumWraps,
]) {
  peers.push(await make(dataKey))
}
const bundles = await bundleSizes()
const contestants = (operation: 'wrap' | 'unwrap'): Contestant[] =>
  peers.map(({ name, kind, note, before, library, wrappedBytes, ...run }) => ({
    name,
    kind,
    note,
    extraBytes: wrappedBytes - dataKey.length,
    bundleBytes: bundles.find((bundle) => bundle.library === library)?.gzipBytes,
    run: run[operation],
    ...(before && { before }),
  }))

const wraps = await compare('Wrap a data key', contestants('wrap'), rounds)
printComparison(wraps)
const unwraps = await compare('Unwrap a data key', contestants('unwrap'), rounds)
printComparison(unwraps)

publish(
  {
    name: 'wraps',
    title: 'A data key, wrapped for one recipient',
    what: 'microseconds for one wrapped data key',
    comparisons: [wraps, unwraps],
    targets: [wraps, unwraps].flatMap(targets),
    rounds,
    more: { bundles },
  },
  finish(),
  dryRun,
)

function targets(comparison: Comparison): Target[] {
  const [ours] = peers
  if (ours === undefined) throw new Error('nothing was measured')
  const least: readonly (readonly [name: string, atLeast: number])[] = [
    ['hpke', 5],
    ['@hpke/core + @hpke/hybridkem-x-wing', 15],
    ['age-encryption, hybrid recipient', 20],
  ]
  return least.map(([name, atLeast]) => ({
    what: `${comparison.title}: ours against ${name}`,
    atLeast,
    measured: ratioOf(comparison, name, ours.name).median,
    unit: '×',
  }))
}
