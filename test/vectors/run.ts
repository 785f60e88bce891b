/**
 * `pnpm vectors FILE…`: runs vector files of our schema and prints each failure, then
 * `N passed, M failed, K unsupported`. Without a file it runs those of the tree. Exit status 1 on a failure.
 */

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import { runVectorFile } from './runner.ts'
import type { VectorReport } from './runner.ts'
import type { VectorFile } from './schema.ts'

const ours = join(import.meta.dirname, 'longhold')
const named = process.argv.slice(2).filter((argument) => argument !== '--')
// pnpm runs scripts at the root of the workspace; a path is meant where the caller stands.
const from = process.env['INIT_CWD'] ?? process.cwd()
const paths =
  named.length > 0
    ? named.map((path) => resolve(from, path))
    : [ours, join(import.meta.dirname, 'published')].flatMap((folder) =>
        readdirSync(folder)
          .filter((name) => name.endsWith('.json'))
          .map((name) => join(folder, name)),
      )

/** Whatever the file holds is checked case by case. */
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as VectorFile

/** The records that ranges name: those beside the file, else ours. */
const recordsFor = (path: string) => {
  const beside = join(dirname(path), 'records.json')
  return read(existsSync(beside) ? beside : join(ours, 'records.json'))
}

const report: VectorReport = { passed: 0, unsupported: 0, failures: [] }
for (const path of paths) {
  try {
    await runVectorFile(path, read(path), report, recordsFor(path))
  } catch (error) {
    report.failures.push(`${path}: ${String(error instanceof Error ? error.message : error)}`)
  }
}
for (const failure of report.failures) console.log(failure)
console.log(`${report.passed} passed, ${report.failures.length} failed, ${report.unsupported} unsupported`)
process.exitCode = report.failures.length > 0 ? 1 : 0
