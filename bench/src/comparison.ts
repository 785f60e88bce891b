/** One operation, measured for all who can do it: as a table, as data and as bars of the chart. */

import type { Bar } from './chart.ts'
import { measure } from './harness.ts'
import type { Case, MeasureOptions, Series } from './harness.ts'
import { pairedRatio, summarise } from './statistics.ts'
import type { Summary } from './statistics.ts'
import {
  formatKilobytes,
  formatMicroseconds,
  formatPerSecond,
  formatRatio,
  print,
  printTable,
} from './table.ts'

export interface Contestant extends Case {
  readonly kind: Bar['kind']
  /** What is timed where that is not the plain operation. */
  readonly note?: string | undefined
  /** Bytes that the ciphertext has more than the plaintext. */
  readonly extraBytes?: number | undefined
  /** What a page loads for this library: minified, gzip. */
  readonly bundleBytes?: number | undefined
}

export interface Comparison {
  readonly title: string
  readonly rows: readonly Row[]
}

interface Row {
  readonly name: string
  readonly kind: Bar['kind']
  readonly note: string | undefined
  readonly extraBytes: number | undefined
  readonly bundleBytes: number | undefined
  readonly time: 'cpu' | 'clock'
  readonly microseconds: Summary
  /** The first contestant = 1, round by round. */
  readonly timesOurs: Summary
  readonly rounds: readonly number[]
}

/** The first contestant is the one that the others are compared with. */
export async function compare(
  title: string,
  contestants: readonly Contestant[],
  rounds: number,
  options: Omit<MeasureOptions, 'rounds'> = {},
): Promise<Comparison> {
  return comparisonOf(title, contestants, await measure(contestants, { ...options, rounds }))
}

/** Of what was measured elsewhere: series in the order of the contestants. */
export function comparisonOf(
  title: string,
  contestants: readonly Omit<Contestant, 'run'>[],
  series: readonly Pick<Series, 'rounds' | 'time'>[],
): Comparison {
  const reference = series[0]?.rounds ?? []
  const rows = contestants.map(({ name, kind, note, extraBytes, bundleBytes }, i) => {
    const values = series[i]?.rounds ?? []
    return {
      name,
      kind,
      note,
      extraBytes,
      bundleBytes,
      time: series[i]?.time ?? 'clock',
      microseconds: summarise(values),
      timesOurs: pairedRatio(values, reference),
      rounds: values,
    }
  })
  return { title, rows }
}

/** How many times `slow` takes as long as `fast`. */
export function ratioOf({ title, rows }: Comparison, slow: string, fast: string): Summary {
  const [a, b] = [slow, fast].map((name) => rows.find((row) => row.name === name)?.rounds)
  if (a === undefined || b === undefined) throw new Error(`${title}: ${slow} or ${fast} was not measured`)
  return pairedRatio(a, b)
}

export function printComparison({ title, rows }: Comparison): void {
  print(`\n${title}`)
  const hasSizes = rows.some(({ extraBytes }) => extraBytes !== undefined)
  printTable(
    [
      '',
      'median µs',
      'middle half',
      'per second',
      '× ours',
      'time',
      ...(hasSizes ? ['extra bytes', 'browser kB'] : []),
    ],
    rows.map(({ name, note, microseconds, timesOurs, time, extraBytes, bundleBytes }) => [
      note === undefined ? name : `${name} *`,
      formatMicroseconds(microseconds.median),
      `${formatMicroseconds(microseconds.q1)}–${formatMicroseconds(microseconds.q3)}`,
      formatPerSecond(microseconds.median),
      formatRatio(timesOurs.median),
      time,
      ...(hasSizes ? [extraBytes?.toLocaleString('en') ?? '', formatKilobytes(bundleBytes)] : []),
    ]),
  )
  for (const { name, note } of rows) if (note !== undefined) print(`  * ${name}: ${note}`)
}

/** Without the rounds, whose summaries are there. */
export function comparisonData({ title, rows }: Comparison) {
  return { title, rows: rows.map(({ rounds: _rounds, kind: _kind, ...row }) => row) }
}

export function comparisonBars({ title, rows }: Comparison): { name: string; bars: Bar[] } {
  return {
    name: title,
    bars: rows.map(({ name, kind, note, microseconds, timesOurs }) => ({
      name: note === undefined ? name : `${name} *`,
      value: microseconds.median,
      text: `${formatMicroseconds(microseconds.median)} (${formatRatio(timesOurs.median)})`,
      kind,
    })),
  }
}
