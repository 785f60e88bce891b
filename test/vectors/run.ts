/**
 * `pnpm vectors FILE…`: runs vector files of our schema and prints each failure, then
 * `N passed, M failed, K unsupported`. Without a file it runs those of the tree. Exit status 1 on a failure.
 */

import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

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
    : readdirSync(ours)
        .filter((name) => name.endsWith('.json'))
        .map((name) => join(ours, name))

const report: VectorReport = { passed: 0, unsupported: 0, failures: [] }
for (const path of paths) {
  try {
    // Whatever the file holds is checked case by case.
    await runVectorFile(path, JSON.parse(readFileSync(path, 'utf8')) as VectorFile, report)
  } catch (error) {
    report.failures.push(`${path}: ${String(error instanceof Error ? error.message : error)}`)
  }
}
for (const failure of report.failures) console.log(failure)
console.log(`${report.passed} passed, ${report.failures.length} failed, ${report.unsupported} unsupported`)
process.exitCode = report.failures.length > 0 ? 1 : 0
