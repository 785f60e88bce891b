/**
 * `pnpm test:interop`: the vectors on every runtime. Closes with `N passed, N failed`, counted case by case; with CI=true a
 * runtime that cannot be had is a failure.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { runtimes, writeModule } from './runtimes.ts'
import type { Runtime } from './runtimes.ts'

let passed = 0
let failed = 0

async function runOn({ name, backend, run }: Runtime, folder: string): Promise<void> {
  if (run === undefined) {
    console.log(`${name}: not run, its package is not installed on ${process.platform} ${process.arch}`)
    if (process.env['CI'] === 'true') failed++
    return
  }
  const started = performance.now()
  try {
    const { version, report } = await run(folder)
    const { chosen, backends, failures, unsupported } = report
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    console.log(
      `${name} (${version}): ${report.passed} on ${backends.join(' and ')}, chose ${chosen}; ${seconds} s`,
    )
    for (const failure of failures) console.log(`  ${failure}`)
    passed += report.passed
    failed += failures.length + unsupported
    if (backend !== undefined && chosen !== backend) {
      failed++
      console.log(`  chose ${chosen}, where ${backend} is promised`)
    }
    if (report.passed === 0) failed++
  } catch (error) {
    failed++
    console.log(`${name}: ${String(error)}`)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'longhold-interop-'))
try {
  await writeModule(folder)
  // One after the other: each has the machine to itself.
  for (const runtime of await runtimes()) await runOn(runtime, folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
