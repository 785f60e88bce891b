/**
 * What the key service answers, and what an answer costs it: the service as it is run, a process of its own over TLS 1.3
 * with X25519MLKEM768, its log on a disk and synced, and clients in another process that keep their connections. Beside it
 * the same service without its log, an application that takes JSON and gives JSON, and the bare decapsulation.
 */

import { floor } from './floor.ts'
import { measure } from './harness.ts'
import { Load, type LoadOptions, type Measured } from './kms-client.ts'
import { KmsPlace, keyContext, rewrapRequests, unwrapRequests, type Asked } from './kms-place.ts'
import { KmsProcess, memoryMiB } from './kms-process.ts'
import { kmsFlags, publishRows } from './kms-report.ts'
import { makeInputs } from './peers/peer.ts'
import { startOrigin } from './report.ts'
import { median } from './statistics.ts'
import { print } from './table.ts'

const { numbers, dir, dryRun } = kmsFlags({ rounds: 4, seconds: 3, connections: 64 })
const { rounds, seconds, connections } = numbers
const finish = startOrigin(
  `pnpm --dir bench run kms-load --rounds ${rounds} --seconds ${seconds} --connections ${connections}`,
  [],
)

const batch = 100
using audited = await KmsPlace.make({ inside: dir })
using unaudited = await KmsPlace.make({ inside: dir })
using nothing = await KmsPlace.make({ inside: dir })
await using service = await KmsProcess.serve('the service', audited.serveOptions())
await using without = await otherServer('unaudited', unaudited)
await using empty = await otherServer('empty', nothing)
await using load = new Load()

const keys = await audited.wrappedKeys(10 * batch)
const contextBody = (more: object) => JSON.stringify({ context: keyContext, ...more })
const unwraps = unwrapRequests(keys, 1)
const cases: readonly Case[] = [
  { name: 'unwrap', asked: unwraps, connections },
  {
    name: 'unwrap, its log written nowhere',
    server: without,
    place: unaudited,
    asked: unwrapRequests(await unaudited.wrappedKeys(batch), 1),
    connections,
  },
  {
    name: 'an empty JSON request, no service',
    server: empty,
    place: nothing,
    asked: [{ path: '/empty', body: '{}', expected: 'items' }],
    connections,
  },
  { name: `unwrap, ${batch} at once`, asked: unwrapRequests(keys, batch), connections: 8, items: batch },
  { name: `rewrap, ${batch} at once`, asked: rewrapRequests(keys, batch), connections: 8, items: batch },
  { name: 'rotate', asked: [asking('rotate', '{}', 'primary_version')], connections: 8 },
  {
    name: 'make and wrap a data key',
    asked: [asking('data-keys', contextBody({}), 'wrapped_key')],
    connections,
  },
  {
    name: `make and wrap data keys, ${batch} at once`,
    asked: [asking('data-keys', contextBody({ count: batch }), 'wrapped_key')],
    connections: 8,
    items: batch,
  },
  {
    name: 'a connection, and /livez on it',
    asked: [{ path: '/livez', body: '', expected: 'ok' }],
    connections: 8,
    reconnect: true,
  },
]

const { decapsulate = () => undefined } = floor(makeInputs()).operations
const found = new Map<Case, Measured[]>(cases.map((one) => [one, []]))
const halves: Measured[] = []
const decapsulations: number[] = []
// Compiled before anything counts.
for (const one of cases) await run(one, Math.min(2, seconds))
for (let round = 0; round < rounds; round++) {
  const order = round % 2 === 0 ? cases : cases.toReversed()
  for (const one of order) found.get(one)?.push(await run(one, seconds))
  const [series] = await measure([{ name: 'decapsulate', run: decapsulate }], { rounds: 3 })
  decapsulations.push(median(series?.rounds ?? []))
  const full = found.get(caseNamed('unwrap'))?.at(-1)?.perSecond ?? 0
  halves.push(await run(caseNamed('unwrap'), seconds, Math.max(1, full / 2)))
  print(`round ${round + 1} of ${rounds}`)
}

const rows = cases.map((one) => rowOf(one, measuredOf(one)))
const half = rowOf({ ...caseNamed('unwrap'), name: 'unwrap, at half of that load' }, halves)
const [mine, silent, bare] = [
  'unwrap',
  'unwrap, its log written nowhere',
  'an empty JSON request, no service',
].map((name) => measuredOf(caseNamed(name))) as [Measured[], Measured[], Measured[]] // three in, three out
const byRound = (quotient: (round: number) => number | undefined) =>
  median(mine.map((_, round) => quotient(round) ?? Number.NaN))
const cpuIn = (all: readonly Measured[], round: number) => all[round]?.cpuMicroseconds ?? Number.NaN
const timesFloor = byRound(
  (round) => cpuIn(mine, round) / (cpuIn(bare, round) + (decapsulations[round] ?? Number.NaN)),
)
const share = byRound((round) => (mine[round]?.perSecond ?? 0) / (silent[round]?.perSecond ?? Number.NaN))
const speedOf = (name: string) => rows.find((row) => row.name === name)?.perSecond ?? 0

publishRows(
  {
    name: 'kms-load',
    what: `The key service over TLS 1.3 with X25519MLKEM768, its log synced; ${connections} connections, 8 where much is asked at once`,
    columns: [
      { key: 'perSecond', title: 'per second', digits: 0 },
      { key: 'cpuMicroseconds', title: 'µs of CPU for one', digits: 0 },
      { key: 'p50', title: 'half within, ms', digits: 1 },
      { key: 'p99', title: '99 of 100 within, ms', digits: 1 },
    ],
    rows: [
      ...rows.slice(0, 1),
      half,
      ...rows.slice(1),
      { name: 'a decapsulation, bare', cpuMicroseconds: median(decapsulations) },
    ],
    targets: [
      {
        what: 'unwrap: CPU against an empty JSON request and a decapsulation',
        atMost: 1.5,
        measured: timesFloor,
        unit: '×',
      },
      {
        what: 'unwrap: speed as a share of the service without its log',
        atLeast: 75,
        measured: 100 * share,
        unit: ' %',
      },
      { what: 'unwrap, one in a request', atLeast: 2500, measured: speedOf('unwrap'), unit: '/s' },
      { what: 'unwrap at half load: 99 of 100 within', atMost: 30, measured: half.p99, unit: ' ms' },
      {
        what: `unwrap, ${batch} in a request`,
        atLeast: 6000,
        measured: speedOf(`unwrap, ${batch} at once`),
        unit: '/s',
      },
      { what: 'rotate', atLeast: 200, measured: speedOf('rotate'), unit: '/s' },
    ],
    more: { rounds, seconds, peakMemoryMiB: memoryMiB(service.pid).peak },
  },
  finish(),
  dryRun,
)

interface Case {
  readonly name: string
  readonly server?: KmsProcess
  readonly place?: KmsPlace
  readonly asked: readonly Asked[]
  readonly connections: number
  /** In each request; 1 unless said. */
  readonly items?: number
  readonly reconnect?: boolean
}

function caseNamed(name: string): Case {
  const one = cases.find((each) => each.name === name)
  if (one === undefined) throw new Error(`no case ${name}`)
  return one
}

async function run(one: Case, forSeconds: number, perSecond?: number): Promise<Measured> {
  const options: LoadOptions = {
    seconds: forSeconds,
    connections: one.connections,
    reconnect: one.reconnect,
    perSecond,
  }
  return await load.on(one.server ?? service, one.place ?? audited, one.asked, options)
}

function measuredOf(one: Case): Measured[] {
  return found.get(one) ?? []
}

function rowOf({ name, items = 1 }: Case, all: readonly Measured[]) {
  const of = (read: (one: Measured) => number) => median(all.map(read))
  return {
    name,
    perSecond: items * of(({ perSecond }) => perSecond),
    cpuMicroseconds: of(({ cpuMicroseconds }) => cpuMicroseconds) / items,
    p50: of(({ latency }) => latency.p50),
    p99: of(({ latency }) => latency.p99),
  }
}

function asking(what: string, body: string, expected: string): Asked {
  return { path: `/v1/keys/bench/${what}`, body, expected }
}

function otherServer(kind: string, place: KmsPlace): Promise<KmsProcess> {
  return KmsProcess.run(kind, './kms-other-server.ts', [kind, place.directory, place.certFile, place.keyFile])
}
