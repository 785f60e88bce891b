/**
 * The tables of the README, made from results/*.json: `node src/readme.ts` writes them, with `--check` it fails when they are not
 * what it would write.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import { cellsOf, type Rows } from './rows.ts'
import { formatKilobytes, formatMicroseconds, formatRatio, print } from './table.ts'
import { asked, measured, type Verdict } from './targets.ts'

const benchmarks = ['kem', 'records', 'wraps', 'streams', 'files', 'random', 'rewrap'] as const
/** Of the key service: rows of numbers. */
const ofKeyService = ['kms-load', 'kms-nodes', 'kms-start', 'kms-verify', 'kms-soak'] as const
const readme = new URL('../README.md', import.meta.url)

/** What is read of a result; `report.ts` and `comparison.ts` write it. */
interface Result {
  readonly what: string
  readonly comparisons: readonly {
    readonly title: string
    readonly rows: readonly {
      readonly name: string
      readonly note?: string
      readonly extraBytes?: number
      readonly bundleBytes?: number
      readonly microseconds: { readonly median: number }
      readonly timesOurs: { readonly median: number }
    }[]
  }[]
  readonly origin: {
    readonly date: string
    readonly commit: string
    readonly machine: { readonly cpu: string; readonly load: { readonly before: number } }
  }
  readonly targets: readonly Verdict[]
}

type RowResult = Pick<Result, 'what' | 'origin' | 'targets'> & Rows

/** Writes the tables into the README, and says whether that changed it. */
export function updateReadme({ checkOnly = false }: { checkOnly?: boolean } = {}): boolean {
  const old = readFileSync(readme, 'utf8')
  let text = old
  // Written by publish.ts and kms-report.ts.
  for (const name of benchmarks) {
    text = between(
      text,
      name,
      contentOf(name, (result) => describe(name, result as Result)),
    )
  }
  for (const name of ofKeyService) {
    text = between(
      text,
      name,
      contentOf(name, (result) => describeRows(name, result as RowResult)),
    )
  }
  if (text !== old && !checkOnly) writeFileSync(readme, text)
  return text !== old
}

/** Nothing where there is no result yet. */
function contentOf(name: string, describeIt: (result: unknown) => string): string {
  const file = new URL(`../results/${name}.json`, import.meta.url)
  return existsSync(file) ? describeIt(JSON.parse(readFileSync(file, 'utf8'))) : ''
}

function between(text: string, name: string, content: string): string {
  const [start, end] = [`<!-- results: ${name} -->\n`, `<!-- end: ${name} -->`]
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}: ${start}… ${end}`)
  const gap = content === '' ? '' : `${content}\n\n`
  return `${text.slice(0, from + start.length)}\n${gap}${text.slice(to)}`
}

function describe(name: string, { what, comparisons, origin, targets }: Result): string {
  return [
    `Medians, ${what} (× against the first row). ${sourceOf(origin)}. [All numbers](results/${name}.json), [chart](results/${name}.svg).`,
    ...byContestants(comparisons).map(comparisonTable),
    ...notesOf(comparisons),
    verdictTable(targets),
  ].join('\n\n')
}

function describeRows(name: string, { what, columns, rows, origin, targets }: RowResult): string {
  return [
    `${what}. ${sourceOf(origin)}. [All numbers](results/${name}.json).`,
    table(['', ...columns.map(({ title }) => title)], cellsOf(columns, rows)),
    ...(targets.length === 0 ? [] : [verdictTable(targets)]),
  ].join('\n\n')
}

function sourceOf({ date, commit, machine }: Result['origin']): string {
  return `${machine.cpu}, load ${machine.load.before.toFixed(1)} before it, commit ${commit.slice(0, 12)}, ${date.slice(0, 10)}`
}

function verdictTable(targets: readonly Verdict[]): string {
  return table(
    ['asked of ourselves', 'at least or most', 'measured', ''],
    targets.map((verdict) => [
      verdict.what,
      asked(verdict),
      measured(verdict),
      verdict.met ? 'met' : 'missed',
    ]),
  )
}

type Comparisons = Result['comparisons']

/** Comparisons of the same contestants share a table, at most four of them: more would not fit. */
function byContestants(comparisons: Comparisons): Comparisons[] {
  const groups: Comparisons[] = []
  for (const comparison of comparisons) {
    const last = groups.at(-1) ?? []
    const names = ({ rows }: Comparisons[number]) => rows.map(({ name }) => name).join('\n')
    const fits =
      last.length > 0 && last.length < 4 && last.every((other) => names(other) === names(comparison))
    if (fits) groups[groups.length - 1] = [...last, comparison]
    else groups.push([comparison])
  }
  return groups
}

function comparisonTable(comparisons: Comparisons): string {
  const [first] = comparisons
  if (first === undefined) throw new Error('a table of nothing')
  const hasSizes = first.rows.some(({ extraBytes }) => extraBytes !== undefined)
  return table(
    ['', ...comparisons.map(({ title }) => title), ...(hasSizes ? ['extra bytes', 'browser kB'] : [])],
    first.rows.map(({ name, extraBytes, bundleBytes }, i) => [
      comparisons.every(({ rows }) => rows[i]?.note === undefined) ? name : `${name} \\*`,
      ...comparisons.map(({ rows }) => {
        const row = rows[i]
        if (row === undefined) return ''
        return `${formatMicroseconds(row.microseconds.median)} (${formatRatio(row.timesOurs.median)})`
      }),
      ...(hasSizes ? [extraBytes?.toLocaleString('en') ?? '', formatKilobytes(bundleBytes)] : []),
    ]),
  )
}

/** What the asterisks stand for, once each. */
function notesOf(comparisons: Comparisons): string[] {
  const notes = comparisons.flatMap(({ rows }) =>
    rows.flatMap(({ name, note }) => (note === undefined ? [] : [`- \\* ${name}: ${note}`])),
  )
  return notes.length === 0 ? [] : [[...new Set(notes)].join('\n')]
}

/** As oxfmt aligns it, so that both agree about the file. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

if (import.meta.main) {
  const checkOnly = process.argv.includes('--check')
  const changed = updateReadme({ checkOnly })
  if (changed && checkOnly) {
    process.stderr.write(
      'the tables of README.md are not those of results/: run `pnpm --dir bench run readme`\n',
    )
    process.exitCode = 1
  } else print(changed ? 'README.md written' : 'README.md has the tables of results/')
}
