/**
 * The tables of the README, made from results/*.json: `node src/readme.ts` writes them, with `--check` it fails when they are not
 * what it would write.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import { formatKilobytes, formatMicroseconds, formatRatio, print } from './table.ts'
import { asked, measured, type Verdict } from './targets.ts'

const benchmarks = ['kem', 'records', 'wraps', 'streams', 'files', 'random', 'rewrap'] as const
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

/** Writes the tables into the README, and says whether that changed it. */
export function updateReadme({ checkOnly = false }: { checkOnly?: boolean } = {}): boolean {
  const old = readFileSync(readme, 'utf8')
  let text = old
  for (const name of benchmarks) {
    const file = new URL(`../results/${name}.json`, import.meta.url)
    const content = existsSync(file)
      ? describe(name, JSON.parse(readFileSync(file, 'utf8')) as Result) // written by publish.ts
      : ''
    text = between(text, name, content)
  }
  if (text !== old && !checkOnly) writeFileSync(readme, text)
  return text !== old
}

function between(text: string, name: string, content: string): string {
  const [start, end] = [`<!-- results: ${name} -->\n`, `<!-- end: ${name} -->`]
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}: ${start}… ${end}`)
  const gap = content === '' ? '' : `${content}\n\n`
  return `${text.slice(0, from + start.length)}\n${gap}${text.slice(to)}`
}

function describe(name: string, { what, comparisons, origin, targets }: Result): string {
  const { date, commit, machine } = origin
  const source = `${machine.cpu}, load ${machine.load.before.toFixed(1)} before it, commit ${commit.slice(0, 12)}, ${date.slice(0, 10)}`
  return [
    `Medians, ${what} (× against the first row). ${source}. [All numbers](results/${name}.json), [chart](results/${name}.svg).`,
    ...byContestants(comparisons).map(comparisonTable),
    ...notesOf(comparisons),
    table(
      ['asked of ourselves', 'at least or most', 'measured', ''],
      targets.map((verdict) => [
        verdict.what,
        asked(verdict),
        measured(verdict),
        verdict.met ? 'met' : 'missed',
      ]),
    ),
  ].join('\n\n')
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
