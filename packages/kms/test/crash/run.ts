/**
 * Kills the key service before and after every statement of every operation, and prints what came of it:
 *
 * node packages/kms/test/crash/run.ts [operation …] [--postgres] [--versions 120]
 */

import { parseArgs } from 'node:util'

import { startPostgres } from '../../../../test/postgres.ts'
import { cleanUp, killAll, pointsOf, prepare } from './harness.ts'
import { operationNames } from './operations.ts'
import type { OperationName } from './operations.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { postgres: { type: 'boolean', default: false }, versions: { type: 'string', default: '4' } },
})
const wanted = positionals.length === 0 ? operationNames : (positionals as OperationName[])
const running = values.postgres ? await startPostgres() : undefined
if (running !== undefined && 'missing' in running) throw new Error(running.missing)
try {
  for (const name of wanted) {
    const prepared = await prepare(name, { server: running?.url, versions: Number(values.versions) })
    const points = pointsOf(prepared)
    const ends = prepared.states.map(() => 0)
    let kills = 0
    const begun = performance.now()
    for (const { state, wasKilled } of await killAll(prepared, points)) {
      ends[state] = (ends[state] ?? 0) + 1
      if (wasKilled) kills += 1
    }
    const seconds = Math.round((performance.now() - begun) / 1000)
    process.stdout.write(
      `${name}: ${prepared.statements} statements, ${kills} kills at ${points.length} places, ` +
        `ends by state ${ends.join(' ')}, ${seconds} s\n`,
    )
    await cleanUp(prepared)
  }
} finally {
  await running?.[Symbol.asyncDispose]()
}
