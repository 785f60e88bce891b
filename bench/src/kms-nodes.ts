/** Two processes of the key service on one PostgreSQL: what an answer costs each of them, beside one that has it alone. */

import { startPostgres } from '../../test/postgres.ts'
import { Load, type Measured } from './kms-client.ts'
import { KmsPlace, unwrapRequests } from './kms-place.ts'
import { KmsProcess } from './kms-process.ts'
import { kmsFlags, publishRows } from './kms-report.ts'
import { startOrigin } from './report.ts'
import { median } from './statistics.ts'
import { print } from './table.ts'

const { numbers, dir, dryRun } = kmsFlags({ rounds: 5, seconds: 4, connections: 32 })
const { rounds, seconds, connections } = numbers
const finish = startOrigin(
  `pnpm --dir bench run kms-nodes --rounds ${rounds} --seconds ${seconds} --connections ${connections}`,
  [],
)
const postgres = await startPostgres()
if ('missing' in postgres) throw new Error(postgres.missing)
try {
  await measureNodes(postgres.url)
} finally {
  await postgres[Symbol.asyncDispose]()
}

async function measureNodes(url: string): Promise<void> {
  using place = await KmsPlace.make({ inside: dir, database: url })
  await using first = await KmsProcess.serve('the first', place.serveOptions())
  await using second = await KmsProcess.serve('the second', place.otherNodeOptions())
  await using load = new Load()
  await using other = new Load()
  const asked = unwrapRequests(await place.wrappedKeys(500), 1)
  const options = { seconds, connections }

  const [alone, firsts, seconds_]: [Measured[], Measured[], Measured[]] = [[], [], []]
  await Promise.all([load.on(first, place, asked, options), other.on(second, place, asked, options)])
  for (let round = 0; round < rounds; round++) {
    alone.push(await load.on(first, place, asked, options))
    const both = await Promise.all([
      load.on(first, place, asked, options),
      other.on(second, place, asked, options),
    ])
    firsts.push(both[0])
    seconds_.push(both[1])
    print(`round ${round + 1} of ${rounds}`)
  }
  const together = firsts.map((one, round) => {
    const { answers = 0, cpuMicroseconds = 0, seconds: took = 1, latency } = seconds_[round] ?? {}
    const all = one.answers + answers
    return {
      perSecond: all / Math.max(one.seconds, took),
      cpuMicroseconds: (one.answers * one.cpuMicroseconds + answers * cpuMicroseconds) / all,
      p50: Math.max(one.latency.p50, latency?.p50 ?? 0),
      p99: Math.max(one.latency.p99, latency?.p99 ?? 0),
    }
  })
  const single = alone.map(({ perSecond, cpuMicroseconds, latency }) => ({
    perSecond,
    cpuMicroseconds,
    ...latency,
  }))
  const row = (name: string, all: readonly (typeof together)[number][]) => ({
    name,
    perSecond: median(all.map((one) => one.perSecond)),
    cpuMicroseconds: median(all.map((one) => one.cpuMicroseconds)),
    p50: median(all.map((one) => one.p50)),
    p99: median(all.map((one) => one.p99)),
  })
  publishRows(
    {
      name: 'kms-nodes',
      what: `One unwrap in a request, two processes on one PostgreSQL that syncs nothing; ${connections} connections each`,
      columns: [
        { key: 'perSecond', title: 'per second', digits: 0 },
        { key: 'cpuMicroseconds', title: 'µs of CPU for one', digits: 0 },
        { key: 'p50', title: 'half within, ms', digits: 1 },
        { key: 'p99', title: '99 of 100 within, ms', digits: 1 },
      ],
      rows: [row('one of them, alone', single), row('both at once', together)],
      targets: [
        {
          what: 'CPU for one answer, both at once against one alone',
          atMost: 1,
          measured: median(
            together.map((one, i) => one.cpuMicroseconds / (single[i]?.cpuMicroseconds ?? Number.NaN)),
          ),
          unit: '×',
        },
      ],
      more: { rounds, seconds },
    },
    finish(),
    dryRun,
  )
}
