/** The commands of a fleet, beside `run --queue`. */

import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import type { Terminal } from '../shell/terminal.ts'
import { busyTimeoutOption, columnOption, tableOption } from './reencrypt-flags.ts'
import { targetText, withRunOptions } from './reencrypt-run-options.ts'

export function workerCommand(terminal: Terminal) {
  return withRunOptions(
    new Command('worker')
      .summary('work for a run on a PostgreSQL table, on this machine too')
      .description(
        'Takes ranges of keys from the queue of a run that was begun with run --queue, until it has ended. Takes ' +
          'what run takes, and refuses when formats, columns, dataset or recipients differ from those of the run. ' +
          'Rates are those of this worker alone; pauses come from the run.',
      ),
  )
    .requiredOption('--queue <url>', 'the database of the queue, postgres://…')
    .addHelpText(
      'after',
      examples(
        'longhold reencrypt worker postgres://app@db/app --queue postgres://app@db/app --table notes --column body --private-key old.pem -R team.txt',
      ),
    )
    .action(async (target, options) => {
      const { workOnQueue } = await import('./reencrypt-fleet-worker.ts')
      await workOnQueue(terminal, target, options)
    })
}

export function pauseCommand(terminal: Terminal) {
  return new Command('pause')
    .summary('make all workers of a fleet wait')
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples('longhold reencrypt pause postgres://app@db/app --table notes --column body'),
    )
    .action(async (target, options) => {
      const { pauseFleet } = await import('./reencrypt-fleet-worker.ts')
      await pauseFleet(terminal, target, options, true)
    })
}

export function resumeCommand(terminal: Terminal) {
  return new Command('resume')
    .summary('let the workers of a fleet go on')
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples('longhold reencrypt resume postgres://app@db/app --table notes --column body'),
    )
    .action(async (target, options) => {
      const { pauseFleet } = await import('./reencrypt-fleet-worker.ts')
      await pauseFleet(terminal, target, options, false)
    })
}
