/** How far, how fast, how long still: one line. */

import { count, plural } from '../shell/text.ts'
import type { RunState } from '../sources/run-state.ts'
import { duration } from './reencrypt-report.ts'

const windowMs = 10_000

/** What there is to do; the total is undefined where nobody knows it before the end. */
export interface Amount {
  readonly unit: string
  readonly total: number | undefined
}

/** The rate of the last ten seconds, since the first ones say little about the rest. */
export class Pace {
  readonly #size: Amount
  readonly #marks: { readonly atMs: number; readonly done: number }[] = []

  constructor(size: Amount) {
    this.#size = size
  }

  /** @param done Of the size; falls back when another pass begins. */
  line(what: string, done: number): string {
    const atMs = performance.now()
    if (done < (this.#marks.at(-1)?.done ?? 0)) this.#marks.length = 0
    if (atMs - (this.#marks.at(-1)?.atMs ?? -Infinity) > 200) this.#marks.push({ atMs, done })
    while ((this.#marks[0]?.atMs ?? atMs) < atMs - windowMs) this.#marks.shift()
    const { unit, total } = this.#size
    const of = total === undefined ? '' : ` of ${count(Math.max(total, done))}`
    const parts = [`${what}: ${count(done)}${of} ${unit}`]
    const [first] = this.#marks
    if (first !== undefined && atMs > first.atMs && done > first.done) {
      const perSecond = ((done - first.done) * 1000) / (atMs - first.atMs)
      parts.push(`${count(Math.round(perSecond))} ${unit}/s`)
      if (total !== undefined && total > done)
        parts.push(`about ${duration((total - done) / perSecond)} left`)
    }
    return parts.join(', ')
  }

  /** `████████░░░░ 66 %`; undefined where nobody knows the whole. */
  bar(done: number, width = 40): string | undefined {
    const { total } = this.#size
    if (total === undefined || total === 0) return undefined
    const part = Math.min(1, done / total)
    const full = Math.floor(part * width)
    return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${Math.floor(part * 100)} %`
  }
}

/** What a terminal shows of a run below the line that a log gets too. */
export function runScreen(state: RunState, bar: string | undefined): string[] {
  const { counts, conflicts, dataKeys } = state
  const fates = [
    `re-encrypted ${count(counts.earlier + counts.migrated)}`,
    `already longhold ${count(counts.already)}`,
    `dead letters ${count(counts.dead)}`,
    `changed meanwhile ${count(conflicts)}`,
    `without a value ${count(counts.empty)}`,
  ]
  return [
    ...(bar === undefined ? [] : [bar]),
    fates.join(', '),
    `under ${plural(dataKeys.length, 'data key')}; Ctrl-C stops at a safe point, and the same command goes on`,
  ]
}
