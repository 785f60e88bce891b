/** What the project asks of itself, compared with what was measured. For information: a benchmark is not a test. */

import { print, printTable } from './table.ts'

export interface Target {
  readonly what: string
  /** The measured ratio must be at least this. */
  readonly atLeast: number
  readonly measured: number
  /** Written behind the numbers: ×, % … */
  readonly unit: string
}

export interface Verdict extends Target {
  readonly met: boolean
}

export function judge(targets: readonly Target[]): Verdict[] {
  return targets.map((target) => ({ ...target, met: target.measured >= target.atLeast }))
}

export function printVerdicts(verdicts: readonly Verdict[]): void {
  print('\nTargets (for information)')
  printTable(
    ['target', 'asked', 'measured', ''],
    verdicts.map(({ what, atLeast, measured, unit, met }) => [
      what,
      `≥ ${atLeast}${unit}`,
      `${measured.toFixed(measured >= 20 ? 1 : 2)}${unit}`,
      met ? 'pass' : 'miss',
    ]),
  )
}
