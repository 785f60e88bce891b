/**
 * `pnpm fuzz [--seconds N] [--executions N] [--seed S] [--from I] [--noble SHARE]`: fuzzes every decoder and prints where the inputs
 * ended. Exit status 1 on the first find, whose seed and number are printed: `--seed S --from I --executions 1` gives it
 * again.
 */

import { parseArgs } from 'node:util'

import { Find, newTally, openFuzzer } from './fuzz.ts'
import { histogram } from './histogram.ts'

const names = ['seconds', 'executions', 'seed', 'from', 'noble'] as const
const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: Object.fromEntries(names.map((name) => [name, { type: 'string' } as const])),
})
const option = (name: (typeof names)[number], fallback: number): number => {
  const number = Number(values[name] ?? fallback)
  if (Number.isNaN(number)) throw new Error(`--${name} takes a number`)
  return number
}
const executions = option('executions', Infinity)
const seconds = option('seconds', executions === Infinity ? 60 : Infinity)
const [seed, from] = [option('seed', 1), option('from', 0)]

/** Executions between two looks at the clock. */
const chunk = 500
const started = performance.now()
const elapsed = () => (performance.now() - started) / 1000
const tally = newTally()
let said = 0
try {
  const fuzzer = openFuzzer({ nobleShare: option('noble', 0.01) })
  while (tally.executions < executions && elapsed() < seconds) {
    const count = Math.min(chunk, executions - tally.executions)
    await fuzzer.run(seed, from + tally.executions, count, tally)
    if (elapsed() - said > 30) {
      said = elapsed()
      console.error(`${tally.executions} executions in ${said.toFixed(0)} s`)
    }
  }
} catch (error) {
  if (!(error instanceof Find)) throw error
  console.log(error.message, error.cause ?? '')
  process.exitCode = 1
}
console.log(histogram(tally))
console.log(`${tally.executions} executions in ${elapsed().toFixed(0)} s, seed ${seed}, from ${from}`)
