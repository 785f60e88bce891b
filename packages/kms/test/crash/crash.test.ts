import { describe, expect, onTestFinished, test } from 'vitest'

import { describePostgres } from '../support/postgres.ts'
import { cleanUp, killAll, pointsOf, prepare } from './harness.ts'
import type { Point, Prepared } from './harness.ts'
import type { OperationName } from './operations.ts'

/** Each kill is two starts of a service. */
const timeoutMs = 300_000

/** How many there are, and how many commits: what is between two of them is never to be seen. */
async function prepared(name: OperationName, commits: number, server?: string): Promise<Prepared> {
  const ready = await prepare(name, { server })
  onTestFinished(() => cleanUp(ready))
  process.stdout.write(`${name}: ${ready.statements} statements\n`)
  expect(new Set(ready.states).size).toBe(commits + 1)
  expect(ready.statements).toBeGreaterThan(commits * 3)
  return ready
}

/** So many, from the first to the last. */
function sample(points: readonly Point[], size: number): Point[] {
  const step = (points.length - 1) / (size - 1)
  return Array.from({ length: size }, (_, index) => points[Math.round(index * step)]).filter(
    (point) => point !== undefined,
  )
}

describe('killed before and after every statement: as it was or done, whole, and it goes on', () => {
  test.each([
    ['rotate', 'both'],
    // What is after one is before the next, as far as a disk is concerned.
    ['destroy', 'after'],
  ] as const)('%s', { timeout: timeoutMs }, async (name, moments) => {
    const ready = await prepared(name, 1)
    const points = pointsOf(ready).filter(({ moment }) => moments === 'both' || moment === moments)
    const ends = await killAll(ready, points)
    expect(ends.every(({ wasKilled }) => wasKilled)).toBe(true)
    // The end of the last statement is the end of the transaction, and nothing before it is.
    expect(ends.map(({ state }) => state)).toEqual([...ends.slice(1).map(() => 0), 1])
  })
})

describe('killed at statements from the first to the last: as after one of its commits, whole, and it goes on', () => {
  test.each([
    ['rotate-once', 2],
    ['overwrite', 2],
    ['root-rotation', 6],
    ['unseal', 1],
    ['slot-add', 1],
    ['backup', 3],
    ['prune', 1],
  ] as const)('%s', { timeout: timeoutMs }, async (name, commits) => {
    const ready = await prepared(name, commits)
    const states = (await killAll(ready, sample(pointsOf(ready), 4))).map(({ state }) => state)
    expect(states).toEqual(states.toSorted((a, b) => a - b))
    expect([states[0], states.at(-1)]).toEqual([0, commits])
  })
})

await describePostgres('killed at statements of PostgreSQL, or between them', (makeDatabase) => {
  test('rotate', { timeout: timeoutMs }, async () => {
    const { url } = await makeDatabase()
    const ready = await prepared('rotate', 1, url.replace(/\/kms_\d+\?/u, '/postgres?'))
    const ends = await killAll(ready, sample(pointsOf(ready), 5))
    expect([ends[0]?.state, ends.at(-1)?.state]).toEqual([0, 1])
  })
})
