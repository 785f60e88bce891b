/** How the benchmarks of the key service say what they found: rows of numbers, what is asked of them, and where they come from. */

import { parseArgs } from 'node:util'

import { updateReadme } from './readme.ts'
import { describeOrigin, writeResults, type Origin } from './report.ts'
import { cellsOf, type Rows } from './rows.ts'
import { print, printTable } from './table.ts'
import { judge, printVerdicts, type Target } from './targets.ts'

export interface KmsFindings extends Rows {
  /** The file's name under results/. */
  readonly name: string
  readonly what: string
  readonly targets: readonly Target[]
  readonly more?: Readonly<Record<string, unknown>>
}

/** Prints what was found, and writes it down unless it is a dry run. */
export function publishRows(findings: KmsFindings, origin: Origin, dryRun: boolean): void {
  const { name, what, columns, rows, targets, more = {} } = findings
  print(`\n${what}`)
  printTable(['', ...columns.map(({ title }) => title)], cellsOf(columns, rows))
  const verdicts = judge(targets)
  if (verdicts.length > 0) printVerdicts(verdicts)
  print(`\n${describeOrigin(origin)}`)
  if (dryRun) return
  writeResults(name, { what, origin, columns, rows, ...more, targets: verdicts })
  if (updateReadme()) print('and its tables in bench/README.md')
}

/** What a benchmark of the service may be told: numbers by name, and the place of its files. */
export function kmsFlags<N extends string>(
  numbers: Readonly<Record<N, number>>,
): {
  readonly numbers: Readonly<Record<N, number>>
  readonly dir: string | undefined
  readonly dryRun: boolean
} {
  const named = Object.keys(numbers) as N[] // of a record, its keys
  const { values } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      dir: { type: 'string' },
      ...Object.fromEntries(named.map((name) => [name, { type: 'string' as const }])),
    },
  })
  const given: Readonly<Record<string, unknown>> = values
  const read = named.map((name) => {
    const value = given[name] ?? numbers[name]
    if (!/^[1-9]\d*$/u.test(String(value)))
      throw new Error(`--${name} is a number from 1 on, not ${String(value)}`)
    return [name, Number(value)] as const
  })
  return {
    numbers: Object.fromEntries(read) as Record<N, number>, // all of them
    dir: values.dir,
    dryRun: values['dry-run'],
  }
}
