/**
 * The hybrid KEM and the wrapping of a data key: Longhold on both backends, the floor under it, and the other
 * libraries, each on its fastest documented path with keys prepared, all in this one run.
 */

import { compareBatches, compareInFlight, largeMessages } from './batches.ts'
import { compare, printComparison, ratioOf, type Comparison } from './comparison.ts'
import { roundsAndDryRun } from './flags.ts'
import { floor } from './floor.ts'
import { ageEncryption } from './peers/age.ts'
import { hpkeCore } from './peers/hpke-core.ts'
import { hpke } from './peers/hpke.ts'
import { longholdIdentity, longholdNative, longholdNoble } from './peers/longhold.ts'
import { mlkem } from './peers/mlkem.ts'
import { nobleParts } from './peers/noble-parts.ts'
import { noble } from './peers/noble.ts'
import { makeInputs, type Operation, type Peer } from './peers/peer.ts'
import { webcrypto } from './peers/webcrypto.ts'
import { publish } from './publish.ts'
import { startOrigin } from './report.ts'
import type { Target } from './targets.ts'

const titles: Readonly<Record<Operation, string>> = {
  generate: 'Generate a key pair',
  encapsulate: 'Encapsulate',
  decapsulate: 'Decapsulate',
  seal: 'Wrap a data key of 32 bytes',
  open: 'Unwrap a data key',
}
const operations = Object.keys(titles) as Operation[] // its keys, by its type

const { rounds, dryRun } = roundsAndDryRun()
const finish = startOrigin(`pnpm --dir bench run kem --rounds ${rounds}`, [
  '@noble/post-quantum',
  '@noble/curves',
  'hpke',
  '@hpke/core',
  '@hpke/hybridkem-x-wing',
  'mlkem',
  'age-encryption',
])

const inputs = makeInputs()
const ours = await longholdNative(inputs)
const bare = floor(inputs)
const portable = await longholdNoble(inputs)
const others = {
  noble: await noble(inputs),
  nobleParts: await nobleParts(inputs),
  webcrypto: await webcrypto(inputs),
  hpke: await hpke(inputs),
  hpkeCore: await hpkeCore(inputs),
  mlkem: await mlkem(inputs),
  age: await ageEncryption(inputs),
}
const peers = [ours, await longholdIdentity(), bare, portable, ...Object.values(others)]

const comparisons: Partial<Record<Operation, Comparison>> = {}
for (const operation of operations) {
  const comparison = await compare(titles[operation], contestants(operation), rounds)
  printComparison(comparison)
  comparisons[operation] = comparison
}
ours.before?.()
const batches = await compareBatches(inputs, [others.webcrypto, others.hpke], rounds)
const inFlight = [
  await compareInFlight('Wrap, many at once', 'seal', [ours, others.hpke, others.hpkeCore], rounds),
  await compareInFlight('Unwrap, many at once', 'open', [ours, others.hpke, others.hpkeCore], rounds),
]
for (const comparison of [...batches, ...inFlight]) printComparison(comparison)
publish(
  {
    name: 'kem',
    title: 'Hybrid KEM (ML-KEM-768 + X25519) and wrapping of a data key',
    what: 'microseconds for one operation',
    comparisons: [...Object.values(comparisons), ...batches, ...inFlight],
    targets: targets(),
    rounds,
  },
  finish(),
  dryRun,
)

function contestants(operation: Operation) {
  return peers.flatMap(({ name, kind, notes, before, operations: can }) => {
    const run = can[operation]
    if (run === undefined) return []
    return [{ name, kind, run, note: notes?.[operation], ...(before && { before }) }]
  })
}

function targets(): Target[] {
  const ratio = (operation: Operation, slow: Peer, fast: Peer) => {
    const comparison = comparisons[operation]
    if (comparison === undefined) throw new Error(`${operation} was not measured`)
    return ratioOf(comparison, slow.name, fast.name).median
  }
  const times = (operation: Operation, slow: Peer, fast: Peer, atLeast: number): Target => ({
    what: `${titles[operation]}: ${fast.name} against ${slow.name}`,
    atLeast,
    measured: ratio(operation, slow, fast),
    unit: '×',
  })
  const share = (operation: Operation, atLeast: number): Target => ({
    what: `${titles[operation]}: the bare calls as a share of ours`,
    atLeast,
    measured: 100 * ratio(operation, bare, ours),
    unit: ' %',
  })
  const batched = batches.map((comparison): Target => ({
    what: `${comparison.title}: ${largeMessages} against one thread`,
    atLeast: 1.5,
    measured: ratioOf(comparison, comparison.rows[0]?.name ?? '', largeMessages).median,
    unit: '×',
  }))
  return [
    times('encapsulate', others.noble, ours, 16),
    share('encapsulate', 88),
    times('decapsulate', others.noble, ours, 22),
    share('decapsulate', 92),
    times('generate', others.noble, ours, 6),
    ...(['seal', 'open'] as const).flatMap((operation) => [
      times(operation, others.hpke, ours, 5),
      times(operation, others.hpkeCore, ours, 15),
      times(operation, others.age, ours, 20),
    ]),
    ...(['generate', 'encapsulate', 'decapsulate'] as const).map((operation) =>
      times(operation, others.noble, portable, 1),
    ),
    ...batched,
  ]
}
