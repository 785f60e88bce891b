import type { Reporter, TestModule } from 'vitest/node'

/** Closes a run with plain lines that any CI can read: what could not be run and why, then the counts. */
export default class PlainLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 }
    const notRun: string[] = []
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        count[result.state]++
        // A test that skips itself says why; the others were not asked for.
        const note = result.state === 'skipped' ? result.note : undefined
        if (note !== undefined) notRun.push(`not run: ${test.fullName}: ${note}\n`)
      }
      count.failed += module.errors().length
    }
    process.stdout.write(
      `\n${notRun.join('')}${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`,
    )
  }
}
