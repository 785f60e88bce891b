/** What every benchmark may be told. */

import { parseArgs } from 'node:util'

import { defaults } from './harness.ts'

export function roundsAndDryRun(rounds: number = defaults.rounds): { rounds: number; dryRun: boolean } {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: String(rounds) },
      'dry-run': { type: 'boolean', default: false },
    },
  })
  if (!/^[1-9]\d*$/.test(values.rounds))
    throw new Error(`--rounds is a number from 1 on, not ${values.rounds}`)
  return { rounds: Number(values.rounds), dryRun: values['dry-run'] }
}
