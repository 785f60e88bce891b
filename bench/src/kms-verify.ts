/**
 * What it costs each minute that rows are verified, in a service that has made a million data keys and remembers them all:
 * its process left alone, its CPU over a few minutes; and how long others wait meanwhile.
 */

import { setTimeout } from 'node:timers/promises'

import { Load } from './kms-client.ts'
import { KmsPlace, unwrapRequests } from './kms-place.ts'
import { KmsProcess, cpuMicroseconds, memoryMiB } from './kms-process.ts'
import { kmsFlags, publishRows } from './kms-report.ts'
import { addIssuedDataKeys } from './kms-rows.ts'
import { startOrigin } from './report.ts'

const { numbers, dir, dryRun } = kmsFlags({ 'data-keys': 1_000_000, seconds: 62 })
const { 'data-keys': count, seconds } = numbers
const finish = startOrigin(`pnpm --dir bench run kms-verify --data-keys ${count} --seconds ${seconds}`, [])

using few = await KmsPlace.make({ inside: dir })
using many = await KmsPlace.make({ inside: dir })
await addIssuedDataKeys(many.directory, count)

const rows = await Promise.all([
  rowOf('no data key', few),
  rowOf(`${count.toLocaleString('en')} data keys`, many),
])

publishRows(
  {
    name: 'kms-verify',
    what: 'A key service that is left alone, then asked for 100 unwraps a second',
    columns: [
      { key: 'readyMs', title: 'ready after, ms', digits: 0 },
      { key: 'cpuMs', title: 'ms of CPU each minute', digits: 0 },
      { key: 'p99', title: '99 of 100 answers within, ms', digits: 1 },
      { key: 'max', title: 'the slowest, ms', digits: 0 },
      { key: 'memory', title: 'MiB at most', digits: 0 },
    ],
    rows,
    targets: [],
    more: { seconds, dataKeys: count },
  },
  finish(),
  dryRun,
)

async function rowOf(name: string, place: KmsPlace) {
  await using service = await KmsProcess.serve(name, place.serveOptions())
  const before = cpuMicroseconds(service.pid)
  await setTimeout(seconds * 1000)
  const idle = cpuMicroseconds(service.pid) - before
  await using load = new Load()
  const asked = unwrapRequests(await place.wrappedKeys(100), 1)
  // A minute and more, so that a verification falls into it.
  const { latency } = await load.on(service, place, asked, { seconds: 61, connections: 8, perSecond: 100 })
  return {
    name,
    readyMs: service.readyMs,
    cpuMs: (60 * idle) / 1000 / seconds,
    p99: latency.p99,
    max: latency.max,
    memory: memoryMiB(service.pid).peak,
  }
}
