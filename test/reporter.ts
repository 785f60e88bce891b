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
        if (result.state === 'skipped')
          notRun.push(`not run: ${test.fullName}: ${result.note ?? 'no reason given'}\n`)
      }
      count.failed += module.errors().length
    }
    process.stdout.write(
      `\n${notRun.join('')}${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`,
    )
  }
}
