/** Who plans for a fleet: cuts each pass into ranges, sees them done, and ends the run. */

import { setTimeout } from 'node:timers/promises'

import type { FleetQueue, FleetState, FleetTable } from '../sources/fleet.ts'
import { inRanges } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'

export interface CoordinatorSettings {
  readonly table: FleetTable
  readonly queue: FleetQueue
  readonly runId: string
  /** The run is stopped after this pass, though old values keep appearing. */
  readonly lastPass: number
  /** Whether all must wait: a pause file, a bound. */
  readonly isPaused: (() => Promise<boolean>) | undefined
  readonly signal: AbortSignal
  readonly onProgress: (state: FleetState) => void
}

const lookMs = 500
/** The queue may have lost something: it is filled again, which changes nothing where it has not. */
const refillMs = 15_000
/** Longer than two looks: members go on by themselves where the coordinator has gone. */
const holdSeconds = 10

/** @returns The state at its end; where the signal came, what there is so far, and the members go on with the pass. */
export async function coordinate(settings: CoordinatorSettings): Promise<RunState | undefined> {
  const { table, queue, runId, lastPass, isPaused, signal, onProgress } = settings
  let filledMs = -Infinity
  let filledPass = 0
  let isHeld = false
  for (;;) {
    const state = await table.state()
    if (state?.run.runId !== runId) return (await table.rows.latestRun()) ?? undefined
    onProgress(state)
    if (signal.aborted) return state.run
    if (state.rangesDone === state.ranges) {
      const next = await table.endPass(runId, lastPass)
      if (next.position === inRanges) continue
      await queue.forget(runId)
      return next
    }
    if (state.run.pass !== filledPass || performance.now() - filledMs > refillMs) {
      await queue.fill(await table.remaining(runId))
      filledMs = performance.now()
      filledPass = state.run.pass
    }
    const mustHold = isPaused !== undefined && (await isPaused())
    if (mustHold || isHeld) await table.hold(runId, mustHold ? holdSeconds : 0)
    isHeld = mustHold
    await setTimeout(lookMs, undefined, { signal }).catch(() => {}) // told by the signal
  }
}
