/** Reads the vector files of other people, which `test/vectors/SOURCES.md` lists. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../../test/vectors')

/** The file's content: `unknown`, to be given the shape that the file has where it is read. */
export function readVectors(path: string): unknown {
  return JSON.parse(readFileSync(join(folder, path), 'utf8'))
}

/** All tests of a file in the schema of Wycheproof or ACVP, each with the fields of its group. */
export function casesOf(path: string): unknown[] {
  const { testGroups } = readVectors(path) as Grouped // both schemas have groups that hold tests
  return testGroups.flatMap(({ tests, ...group }) => tests.map((each) => ({ ...group, ...each })))
}

interface Grouped {
  readonly testGroups: readonly { readonly tests: readonly object[] }[]
}

/** How often each outcome occurred: asserted exactly, so that no case is lost in silence. */
export function tally(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}
