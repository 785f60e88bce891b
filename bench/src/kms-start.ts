/**
 * How long a key service with many versions takes until it answers. Nearly all of it is the verification of its rows, which
 * comes before the first answer: once in a process that is there already, and once with the process.
 */

import { startService } from '../../packages/kms/src/server/start.ts'
import { KmsPlace } from './kms-place.ts'
import { KmsProcess, cpuMicroseconds } from './kms-process.ts'
import { kmsFlags, publishRows } from './kms-report.ts'
import { addVersions } from './kms-rows.ts'
import { startOrigin } from './report.ts'
import { median } from './statistics.ts'

const { numbers, dir, dryRun } = kmsFlags({ versions: 100_000, rounds: 7 })
const { versions, rounds } = numbers
const finish = startOrigin(`pnpm --dir bench run kms-start --versions ${versions} --rounds ${rounds}`, [])

using few = await KmsPlace.make({ inside: dir })
using many = await KmsPlace.make({ inside: dir })
await addVersions(many.directory, versions)

const inProcess: Start[] = []
const wholeMany: Start[] = []
const wholeFew: Start[] = []
for (let round = 0; round < rounds; round++) {
  inProcess.push(await startHere(many))
  wholeMany.push(await startProcess(many))
  wholeFew.push(await startProcess(few))
}
const row = (name: string, all: readonly Start[]) => ({
  name,
  ms: median(all.map(({ ms }) => ms)),
  cpuMs: median(all.map(({ cpuMs }) => cpuMs)),
})
const rows = [
  row('the service, in a process that is there', inProcess),
  row('the process and the service', wholeMany),
  row('the process and a service with one version', wholeFew),
]
publishRows(
  {
    name: 'kms-start',
    what: `From the start of a key service with ${versions.toLocaleString('en')} versions to its first answer`,
    columns: [
      { key: 'ms', title: 'ms', digits: 0 },
      { key: 'cpuMs', title: 'ms of CPU', digits: 0 },
    ],
    rows,
    targets: [{ what: 'the service, ready', atMost: 1000, measured: rows[0]?.ms ?? Number.NaN, unit: ' ms' }],
    more: { rounds, versions },
  },
  finish(),
  dryRun,
)

interface Start {
  readonly ms: number
  readonly cpuMs: number
}

async function startHere({ directory: dataDir }: KmsPlace): Promise<Start> {
  const [begun, used] = [performance.now(), process.cpuUsage()]
  const service = await startService({ dataDir, adminSocket: 'none', port: 0 })
  const [ms, cpu] = [performance.now() - begun, process.cpuUsage(used)]
  await service.close()
  return { ms, cpuMs: (cpu.user + cpu.system) / 1000 }
}

async function startProcess(place: KmsPlace): Promise<Start> {
  await using service = await KmsProcess.serve('the service', place.serveOptions())
  return { ms: service.readyMs, cpuMs: cpuMicroseconds(service.pid) / 1000 }
}
