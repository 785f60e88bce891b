import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { identityOption, recipientOption, recipientsFileOption } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import {
  busyTimeoutOption,
  columnOption,
  formatOption,
  idOption,
  passphraseEnvOption,
  passphraseFileOption,
  privateKeyOption,
  tableOption,
  wholeNumber,
  workersOption,
} from './reencrypt-flags.ts'

const targetText = 'an SQLite database, postgres://…, or an NDJSON file; without it, what longhold.yaml says'

/** `longhold reencrypt`: moves RSA-wrapped values to records, in bulk. */
export function reencryptCommand(terminal: Terminal) {
  return new Command('reencrypt')
    .summary('move RSA-wrapped data to hybrid encryption while the application runs')
    .description(
      'Opens values that were protected with RSA and writes them again as records under data keys that are ' +
        'wrapped for hybrid post-quantum recipients, in a table of an SQLite or PostgreSQL database or in an NDJSON file. ' +
        'The section reencrypt of longhold.yaml says what the flags say, and declares layouts.',
    )
    .addCommand(planCommand(terminal))
    .addCommand(runCommand(terminal))
    .addCommand(verifyCommand(terminal))
    .addCommand(statusCommand(terminal))
    .addHelpText(
      'after',
      examples('longhold reencrypt plan app.db --table notes --column body --private-key old.pem'),
    )
}

function planCommand(terminal: Terminal) {
  return new Command('plan')
    .summary('read everything, change nothing, say what a run would meet')
    .description(
      'Counts the values by format, key id, padding and body cipher, opens samples of each kind, and says what ' +
        'cannot be opened and why, how long a run would take, and where old copies will remain. ' +
        'Without a private key it counts, but opens nothing.',
    )
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(formatOption())
    .addOption(privateKeyOption())
    .addOption(passphraseFileOption())
    .addOption(passphraseEnvOption())
    .option('--open-all', 'open every value, not samples of each kind')
    .addOption(workersOption())
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples('longhold reencrypt plan app.db --table notes --column body --private-key old.pem'),
    )
    .action(async (target, options) => {
      const { planReencryption } = await import('./reencrypt-plan.ts')
      await planReencryption(terminal, target, options)
    })
}

function runCommand(terminal: Terminal) {
  return new Command('run')
    .summary('re-encrypt; goes on by itself where an earlier run stopped')
    .description(
      'Replaces every old value that opens by a record, each only if it still is what was read, and verified ' +
        'before. Killed at any point, the same command goes on. Values that do not open stay as they are and are ' +
        'listed in a file of dead letters.',
    )
    .argument('[target]', targetText)
    .option('--execute', 'really do it')
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .option('--dataset <name>', 'bound to the data keys as {dataset} (default: the table or file name)')
    .addOption(formatOption())
    .addOption(privateKeyOption())
    .addOption(passphraseFileOption())
    .addOption(passphraseEnvOption())
    .addOption(recipientOption())
    .addOption(recipientsFileOption())
    .addOption(identityOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addOption(workersOption())
    .option('--batch-rows <n>', 'rows a worker gets at a time (default: 256)', wholeNumber(1, 100_000))
    .option('--data-key-records <n>', 'records under one data key (default: 100000)', wholeNumber(1))
    .option('--data-key-bytes <n>', 'bytes under one data key (default: 1073741824)', wholeNumber(1))
    .option('--data-key-hours <n>', 'age of a data key (default: 24)', wholeNumber(1))
    .option('--check-every <n>', 'open each n-th record with a real identity (default: 1000)', wholeNumber(1))
    .option('--max-passes <n>', 'give up when old values keep appearing (default: 10)', wholeNumber(1))
    .option('--dead-letters <file>', 'where to list what could not be opened')
    .option('--accept-unauthenticated', 'take bodies where nothing tells a wrong key; they are counted')
    .option(
      '--keyring-key <reference>',
      'the keyring key of the application, which is to take the data keys for its own',
    )
    .option('--skip-trial', 'go on although none of the first values opens')
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples(
        'longhold reencrypt run app.db --table notes --column body --private-key old.pem -r kms:default --execute',
        'longhold reencrypt run rows.ndjson --column token --id id --private-key old.pem -R team.txt --execute',
      ),
    )
    .action(async (target, options) => {
      const { runReencryption } = await import('./reencrypt-run.ts')
      await runReencryption(terminal, target, options)
    })
}

function verifyCommand(terminal: Terminal) {
  return new Command('verify')
    .summary('open every record as a reader would')
    .description(
      'Unwraps the data keys with an identity or the key service and opens every record under its context. ' +
        'Counts what is not re-encrypted yet. Changes nothing, needs no RSA key.',
    )
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(identityOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addOption(busyTimeoutOption())
    .addHelpText('after', examples('longhold reencrypt verify app.db --table notes --column body -i key.txt'))
    .action(async (target, options) => {
      const { verifyReencryption } = await import('./reencrypt-verify.ts')
      await verifyReencryption(terminal, target, options)
    })
}

function statusCommand(terminal: Terminal) {
  return new Command('status')
    .summary('say how far the newest run on a target is')
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(busyTimeoutOption())
    .addHelpText('after', examples('longhold reencrypt status app.db --table notes --column body'))
    .action(async (target, options) => {
      const { showStatus } = await import('./reencrypt-status.ts')
      await showStatus(terminal, target, options)
    })
}
