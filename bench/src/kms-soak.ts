/**
 * One hour of steady load on the key service, and its memory every few seconds: what it holds at the end is to be what it
 * held after the first tenth, when everything was compiled and every cache was full.
 */

import { setInterval } from 'node:timers/promises'

import { Load } from './kms-client.ts'
import { KmsPlace, keyContext, rewrapRequests, unwrapRequests, type Asked } from './kms-place.ts'
import { KmsProcess, memoryMiB } from './kms-process.ts'
import { kmsFlags, publishRows } from './kms-report.ts'
import { startOrigin } from './report.ts'
import { median } from './statistics.ts'
import { print } from './table.ts'

const { numbers, dir, dryRun } = kmsFlags({ seconds: 3600, rate: 200, every: 5 })
const { seconds, rate, every } = numbers
const finish = startOrigin(`pnpm --dir bench run kms-soak --seconds ${seconds} --rate ${rate}`, [])

using place = await KmsPlace.make({ inside: dir })
await using service = await KmsProcess.serve('the service', place.serveOptions())
await using unwraps = new Load()
await using others = new Load()

const keys = await place.wrappedKeys(1000)
const context = JSON.stringify({ context: keyContext })
/** Everything that is asked again and again, in one line; a rotation among some hundreds of them. */
const mixed: Asked[] = Array.from({ length: 300 }, (_, index) => {
  if (index === 0) return { path: '/v1/keys/bench/rotate', body: '{}', expected: '{' }
  if (index % 3 === 0) return { path: '/v1/keys/bench/data-keys', body: context, expected: '{' }
  if (index % 3 === 1) return { path: '/v1/keys/bench/public-key', body: '', expected: '{' }
  return {
    ...(rewrapRequests(keys.slice(index, index + 10), 10)[0] ?? { path: '', body: '' }),
    expected: '{',
  }
})

const samples: { readonly at: number; readonly mib: number }[] = []
const begun = performance.now()
const stopped = new AbortController()
const watching = watch()
const [opened, rest] = await Promise.all([
  unwraps.on(service, place, unwrapRequests(keys, 1), { seconds, connections: 16, perSecond: rate }),
  others.on(service, place, mixed, {
    seconds,
    connections: 4,
    perSecond: Math.max(1, Math.round(rate / 20)),
  }),
])
stopped.abort()
await watching

const between = (from: number, to: number) =>
  samples.filter(({ at }) => at >= from * seconds && at <= to * seconds).map(({ mib }) => mib)
const [early, late] = [median(between(0.1, 0.3)), median(between(0.8, 1))]
const rows = Array.from({ length: 10 }, (_, tenth) => {
  const all = between(tenth / 10, (tenth + 1) / 10)
  return {
    name: `${Math.round((seconds * (tenth + 1)) / 600)} min`,
    median: all.length === 0 ? Number.NaN : median(all),
    most: Math.max(...all),
  }
})
publishRows(
  {
    name: 'kms-soak',
    what: `Memory of the key service over ${Math.round(seconds / 60)} minutes: ${opened.perSecond.toFixed(0)} unwraps a second, and ${rest.perSecond.toFixed(0)} other requests`,
    columns: [
      { key: 'median', title: 'MiB, most of the time', digits: 1 },
      { key: 'most', title: 'MiB at most', digits: 1 },
    ],
    rows,
    targets: [
      {
        what: 'memory in the last fifth against that of the second and third tenth',
        atMost: 1.1,
        measured: late / early,
        unit: '×',
      },
    ],
    more: {
      seconds,
      unwraps: opened,
      others: rest,
      samples: samples.map(({ at, mib }) => [Math.round(at), Math.round(mib * 10) / 10]),
    },
  },
  finish(),
  dryRun,
)

async function watch(): Promise<void> {
  try {
    for await (const _ of setInterval(every * 1000, undefined, { signal: stopped.signal })) {
      const at = (performance.now() - begun) / 1000
      samples.push({ at, mib: memoryMiB(service.pid).now })
      if (samples.length % 12 === 0) print(`${Math.round(at)} s: ${samples.at(-1)?.mib.toFixed(1)} MiB`)
    }
  } catch (error) {
    if (!stopped.signal.aborted) throw error
  }
}
