/** Undoes what runs did: puts old values back wherever a record of theirs still stands. */

import { setImmediate } from 'node:timers/promises'

import type { Cell, RowSource } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import { longholdValue } from './longhold-value.ts'

export interface RollBackSettings {
  readonly source: RowSource
  /** The newest first: an earlier run's original may have been replaced again by a later one. */
  readonly runs: readonly RunState[]
  readonly onProgress: (restored: number) => void
  /** Called between steps; throws to stop. What was put back stays so, and the same command goes on. */
  readonly checkStop: () => void
}

export interface RollBack {
  readonly restored: number
  /** Changed by somebody since, or gone: left as they are. */
  readonly changed: number
  /** What a constraint or a trigger keeps as it is: locators. */
  readonly kept: readonly string[]
}

/** @throws Problem */
export async function rollBack({ source, runs, onProgress, checkStop }: RollBackSettings): Promise<RollBack> {
  let restored = 0
  let changed = 0
  const kept: string[] = []
  for (const run of runs) {
    const ours = new Set(run.dataKeys)
    const isOurs = (cell: Cell): boolean => ours.has(longholdValue(cell)?.keyId ?? '')
    const begun: RunState = { ...run, status: 'rolling_back', updatedAt: new Date().toISOString() }
    // From here on no run goes on with it.
    await source.store(begun)
    let after: string | undefined
    let keptOfRun = 0
    for (;;) {
      await setImmediate()
      checkStop()
      const step = await source.putBack(begun, isOurs, after)
      if (step === undefined) break
      restored += step.restored
      changed += step.changed
      kept.push(...step.kept)
      keptOfRun += step.kept.length
      after = step.after
      onProgress(restored)
    }
    const now = new Date().toISOString()
    // What is kept as it was can be tried again.
    if (keptOfRun === 0) await source.store({ ...begun, status: 'rolled_back', updatedAt: now })
  }
  return { restored, changed, kept }
}
