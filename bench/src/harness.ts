/**
 * Measures competitors against each other on a machine that is not quiet. Every round gives each of them one
 * slot, in alternating order, so that drift and disturbance hit all alike. A slot takes several samples, a
 * sample repeats the operation often enough for the clock, and the slot counts with the median of its samples.
 * Full garbage collections happen between the slots; what an operation makes the collector do meanwhile is its
 * own cost and stays in.
 */

import { median } from './statistics.ts'

export interface Case {
  readonly name: string
  /** The operation. A promise it returns is awaited before the next one starts. */
  readonly run: () => unknown
  /** How many operations one call does; 1 unless said. */
  readonly operations?: number
  /** Called before each slot, outside the clock. */
  readonly before?: () => void
}

export interface Series {
  readonly name: string
  /** Microseconds for one operation, one value for each round. */
  readonly rounds: readonly number[]
  /** How often `run` was called in each sample. */
  readonly repetitions: number
}

export interface MeasureOptions {
  readonly rounds?: number
  readonly samples?: number
  /** How long a sample aims to be, in milliseconds. */
  readonly sampleMs?: number
  readonly warmUpMs?: number
}

export const defaults = { rounds: 21, samples: 7, sampleMs: 3, warmUpMs: 300 } as const

export async function measure(
  cases: readonly Case[],
  {
    rounds = defaults.rounds,
    samples = defaults.samples,
    sampleMs = defaults.sampleMs,
    warmUpMs = defaults.warmUpMs,
  }: MeasureOptions = {},
): Promise<Series[]> {
  const runners: Runner[] = []
  for (const entry of cases) runners.push(await warmUp(entry, warmUpMs, sampleMs))

  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? runners : runners.toReversed()
    for (const runner of order) {
      runner.entry.before?.()
      globalThis.gc?.()
      const taken: number[] = []
      for (let sample = 0; sample < samples; sample++) {
        taken.push(
          (await runner.sample(runner.repetitions)) / runner.repetitions / (runner.entry.operations ?? 1),
        )
      }
      runner.rounds.push(median(taken))
    }
  }
  return runners.map(({ entry, rounds: values, repetitions }) => ({
    name: entry.name,
    rounds: values,
    repetitions,
  }))
}

interface Runner {
  readonly entry: Case
  readonly repetitions: number
  readonly rounds: number[]
  /** Microseconds for `count` operations. */
  readonly sample: (count: number) => number | Promise<number>
}

async function warmUp(entry: Case, warmUpMs: number, sampleMs: number): Promise<Runner> {
  entry.before?.()
  const sample = (await isAsynchronous(entry)) ? sampleOfPromises(entry.run) : sampleOfCalls(entry.run)
  const start = performance.now()
  let calls = 0
  let latest = 0
  for (let batch = 1; performance.now() - start < warmUpMs; batch = Math.min(batch * 2, 256)) {
    latest = (await sample(batch)) / batch
    calls += batch
  }
  if (calls === 0) throw new Error(`${entry.name} was never called`)
  return { entry, repetitions: Math.max(1, Math.round((sampleMs * 1000) / latest)), rounds: [], sample }
}

async function isAsynchronous(entry: Case): Promise<boolean> {
  const result = entry.run()
  if (!(result instanceof Promise)) return false
  await result
  return true
}

/** Where results go, so that no compiler may leave the work out. */
export let sink: unknown

function sampleOfCalls(run: () => unknown): (count: number) => number {
  return (count) => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < count; i++) sink = run()
    return microsecondsSince(start)
  }
}

function sampleOfPromises(run: () => unknown): (count: number) => Promise<number> {
  return async (count) => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < count; i++) sink = await run()
    return microsecondsSince(start)
  }
}

function microsecondsSince(start: bigint): number {
  return Number(process.hrtime.bigint() - start) / 1000
}
