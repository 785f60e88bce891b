/**
 * Measures competitors against each other on a machine that is not quiet. Every round gives each of them one
 * slot, in alternating order, so that drift and disturbance hit all alike. A slot takes several samples, a
 * sample repeats the operation often enough for the clock, and the slot counts with the median of its samples.
 * Full garbage collections happen between the slots; what an operation makes the collector do meanwhile is its
 * own cost and stays in. A full collection also discards the optimised code of whoever makes objects of which none is left,
 * node:crypto's ciphers among them: each slot begins with samples that do not count.
 *
 * Other processes interrupt slow operations more often than fast ones, which would flatter the fast. So work that stays
 * on this thread counts with its CPU time, which on a quiet machine is the time. Work that waits for other threads
 * cannot be judged that way and counts with the time of the clock: its numbers want a quiet machine.
 */

import { performance } from 'node:perf_hooks'

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
  /** Which time counts: this thread's, or the clock's where the work waits for other threads. */
  readonly time: 'cpu' | 'clock'
}

export interface MeasureOptions {
  readonly rounds?: number
  readonly samples?: number
  /** How long a sample aims to be, in milliseconds. */
  readonly sampleMs?: number
  readonly warmUpMs?: number
  /** What each slot runs before its samples count, in milliseconds of the time that counts. */
  readonly settleMs?: number
}

export const defaults = { rounds: 21, samples: 7, sampleMs: 3, warmUpMs: 300, settleMs: 20 } as const

export async function measure(
  cases: readonly Case[],
  {
    rounds = defaults.rounds,
    samples = defaults.samples,
    sampleMs = defaults.sampleMs,
    warmUpMs = defaults.warmUpMs,
    settleMs = defaults.settleMs,
  }: MeasureOptions = {},
): Promise<Series[]> {
  const runners: Runner[] = []
  for (const entry of cases) runners.push(await warmUp(entry, warmUpMs, sampleMs))

  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? runners : runners.toReversed()
    for (const runner of order) {
      runner.entry.before?.()
      globalThis.gc?.()
      // An operation that is a sample by itself has long settled before it ends.
      const settleUs = runner.repetitions > 1 ? settleMs * 1000 : 0
      for (let settled = 0; settled < settleUs;) settled += await runner.sample()
      const perOperation = runner.repetitions * (runner.entry.operations ?? 1)
      runner.rounds.push((await slot(runner, samples)) / perOperation)
    }
  }
  return runners.map(({ entry, rounds: values, repetitions, time }) => ({
    name: entry.name,
    rounds: values,
    repetitions,
    time,
  }))
}

interface Sample {
  readonly clock: number
  /** Of this thread. */
  readonly cpu: number
}

interface Runner {
  readonly entry: Case
  readonly repetitions: number
  readonly time: Series['time']
  readonly rounds: number[]
  /** Microseconds for `repetitions` calls. */
  readonly sample: () => number | Promise<number>
}

async function slot({ sample }: Runner, samples: number): Promise<number> {
  const taken: number[] = []
  for (let i = 0; i < samples; i++) taken.push(await sample())
  return median(taken)
}

async function warmUp(entry: Case, warmUpMs: number, sampleMs: number): Promise<Runner> {
  entry.before?.()
  const sample = (await isAsynchronous(entry)) ? sampleOfPromises(entry.run) : sampleOfCalls(entry.run)
  const { idle } = performance.eventLoopUtilization()
  const start = performance.now()
  const latest: number[] = []
  for (let batch = 1; performance.now() - start < warmUpMs; batch = Math.min(batch * 2, 256)) {
    latest.push((await sample(batch)).cpu / batch)
  }
  // Promises that are settled on this thread never let the event loop wait.
  const time = performance.eventLoopUtilization().idle > idle ? 'clock' : 'cpu'
  const repetitions = Math.max(1, Math.round((sampleMs * 1000) / median(latest.slice(-5))))
  return {
    entry,
    repetitions,
    time,
    rounds: [],
    sample: async () => (await sample(repetitions))[time],
  }
}

async function isAsynchronous(entry: Case): Promise<boolean> {
  const result = entry.run()
  if (!(result instanceof Promise)) return false
  await result
  return true
}

/** Where results go, so that no compiler may leave the work out. */
export let sink: unknown

function sampleOfCalls(run: () => unknown): (count: number) => Sample {
  return (count) => {
    const watch = startWatch()
    for (let i = 0; i < count; i++) sink = run()
    return watch()
  }
}

function sampleOfPromises(run: () => unknown): (count: number) => Promise<Sample> {
  return async (count) => {
    const watch = startWatch()
    for (let i = 0; i < count; i++) sink = await run()
    return watch()
  }
}

function startWatch(): () => Sample {
  const used = threadMicroseconds()
  const start = performance.now()
  return () => ({ clock: 1000 * (performance.now() - start), cpu: threadMicroseconds() - used })
}

function threadMicroseconds(): number {
  // Linux brings the account of the running thread up to date for this call, and not for the next one.
  process.cpuUsage()
  const { user, system } = process.threadCpuUsage()
  return user + system
}
