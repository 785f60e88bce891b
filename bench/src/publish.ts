/** The end of a benchmark: verdicts, where it was made, and its files. */

import { drawChart } from './chart.ts'
import { comparisonBars, comparisonData, type Comparison } from './comparison.ts'
import { defaults, type MeasureOptions } from './harness.ts'
import { updateReadme } from './readme.ts'
import { describeOrigin, writeResults, type Origin } from './report.ts'
import { print } from './table.ts'
import { judge, printVerdicts, type Target } from './targets.ts'

export interface Findings {
  /** The file's name under results/. */
  readonly name: string
  readonly title: string
  /** What one number is, for the JSON and below the title of the chart. */
  readonly what: string
  readonly comparisons: readonly Comparison[]
  readonly targets: readonly Target[]
  readonly rounds: number
  /** Where the method is not the usual one. */
  readonly method?: Omit<MeasureOptions, 'rounds'> & { readonly bytes?: number }
  /** Whatever else was found. */
  readonly more?: Readonly<Record<string, unknown>>
}

/** Prints the verdicts, and writes JSON and chart unless it is a dry run. */
export function publish(findings: Findings, origin: Origin, dryRun: boolean): void {
  const { name, title, what, comparisons, rounds, method = {}, more = {} } = findings
  const verdicts = judge(findings.targets)
  printVerdicts(verdicts)
  print(`\n${describeOrigin(origin)}`)
  if (dryRun) return
  const data = {
    what,
    origin,
    method: {
      ...defaults,
      ...method,
      rounds,
      interleaved: true,
      ratios: 'median of the quotients of one round',
      time: 'cpu: of this thread; clock: where the work waits for other threads',
    },
    comparisons: comparisons.map(comparisonData),
    ...more,
    targets: verdicts,
  }
  const chart = drawChart({
    title,
    axis: `${what}; logarithmic scale, shorter is better; × against longhold; blue: longhold, grey: the floor`,
    groups: comparisons.map(comparisonBars),
    footer: [
      ...describeOrigin(origin).split('\n'),
      `* not quite the same operation: see the notes in ${name}.json`,
    ],
  })
  writeResults(name, data, chart)
  if (updateReadme()) print('and its tables in bench/README.md')
}
