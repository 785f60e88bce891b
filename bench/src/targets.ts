/** What the project asks of itself, compared with what was measured. For information: a benchmark is not a test. */

import { print, printTable } from './table.ts'

export interface Target {
  readonly what: string
  /** The measured number must be at least this, or at most where `atMost` is given instead. */
  readonly atLeast?: number
  readonly atMost?: number
  readonly measured: number
  /** Written behind the numbers: ×, % … */
  readonly unit: string
}

export interface Verdict extends Target {
  readonly met: boolean
}

export function judge(targets: readonly Target[]): Verdict[] {
  return targets.map((target) => {
    const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY, measured } = target
    return { ...target, met: measured >= atLeast && measured <= atMost }
  })
}

export function printVerdicts(verdicts: readonly Verdict[]): void {
  print('\nTargets (for information)')
  printTable(
    ['target', 'asked', 'measured', ''],
    verdicts.map((verdict) => [
      verdict.what,
      asked(verdict),
      measured(verdict),
      verdict.met ? 'pass' : 'miss',
    ]),
  )
}

/** What is asked, with its unit. */
export function asked({ atLeast, atMost, unit }: Target): string {
  return atLeast === undefined ? `≤ ${atMost}${unit}` : `≥ ${atLeast}${unit}`
}

export function measured({ measured: value, unit }: Target): string {
  return `${value.toFixed(Number.isInteger(value) ? 0 : value >= 20 ? 1 : 2)}${unit}`
}
