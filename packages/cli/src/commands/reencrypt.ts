import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { identityOption } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import {
  busyTimeoutOption,
  columnOption,
  delimiterOption,
  endpointOption,
  excludeOption,
  formatOption,
  idOption,
  includeOption,
  passphraseEnvOption,
  passphraseFileOption,
  privateKeyOption,
  stateFileOption,
  tableOption,
  templateOption,
  wholeNumber,
  workersOption,
} from './reencrypt-flags.ts'
import { pauseCommand, resumeCommand, workerCommand } from './reencrypt-fleet-commands.ts'
import { targetText, withRunOptions } from './reencrypt-run-options.ts'

/** `longhold reencrypt`: moves RSA-wrapped values to records, in bulk. */
export function reencryptCommand(terminal: Terminal) {
  return new Command('reencrypt')
    .summary('move RSA-wrapped data to hybrid encryption while the application runs')
    .description(
      'Opens values that were protected with RSA and writes them again as records under data keys that are ' +
        'wrapped for hybrid post-quantum recipients, in a table of an SQLite or PostgreSQL database or in a file of NDJSON or CSV. ' +
        'The section reencrypt of longhold.yaml says what the flags say, and declares layouts.',
    )
    .addCommand(planCommand(terminal))
    .addCommand(runCommand(terminal))
    .addCommand(retryCommand(terminal))
    .addCommand(workerCommand(terminal))
    .addCommand(pauseCommand(terminal))
    .addCommand(resumeCommand(terminal))
    .addCommand(verifyCommand(terminal))
    .addCommand(rollbackCommand(terminal))
    .addCommand(finalizeCommand(terminal))
    .addCommand(statusCommand(terminal))
    .addCommand(reportCommand(terminal))
    .addCommand(checkReportCommand(terminal))
    .addCommand(reportKeyCommand(terminal))
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
    .addOption(delimiterOption())
    .addOption(includeOption())
    .addOption(excludeOption())
    .addOption(endpointOption())
    .addOption(stateFileOption())
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
  return withRunOptions(
    new Command('run')
      .summary('re-encrypt; goes on by itself where an earlier run stopped')
      .description(
        'Replaces every old value that opens by a record, each only if it still is what was read, and verified ' +
          'before. Killed at any point, the same command goes on. Values that do not open stay as they are and are ' +
          'listed in a file of dead letters.',
      ),
  )
    .option('--queue <url>', 'with workers on other machines: the database of their queue, postgres://…')
    .option('--only-coordinate', 'with --queue: leave the work to the workers')
    .option('--range-rows <n>', 'with --queue: rows of a range (default: 10000)', wholeNumber(1))
    .option(
      '--takeover-seconds <n>',
      'with --queue: a range whose worker gives no sign of life for so long goes to another (default: 30)',
      wholeNumber(10, 3600),
    )
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

function retryCommand(terminal: Terminal) {
  return withRunOptions(
    new Command('retry')
      .summary('try the dead letters again, and nothing else')
      .description(
        'A run over the rows that the dead letters of the newest run name, once keys, layouts or rows were mended. ' +
          'Takes what run takes.',
      ),
  )
    .option(
      '--from <file>',
      'a file of dead letters (default: those that the newest run left in its journal)',
    )
    .addHelpText(
      'after',
      examples(
        'longhold reencrypt retry app.db --table notes --column body --private-key older.pem --execute',
      ),
    )
    .action(async (target, options) => {
      const { retryReencryption } = await import('./reencrypt-run.ts')
      await retryReencryption(terminal, target, options)
    })
}

function rollbackCommand(terminal: Terminal) {
  return new Command('rollback')
    .summary('put the old values back')
    .description(
      'Puts back what runs replaced, as long as they were not finalised: each value only where the record of the run ' +
        'still stands. What the application has written since is left as it is. A new file is removed.',
    )
    .argument('[target]', targetText)
    .option('--execute', 'really do it')
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(delimiterOption())
    .addOption(includeOption())
    .addOption(excludeOption())
    .addOption(endpointOption())
    .addOption(stateFileOption())
    .addOption(formatOption())
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples('longhold reencrypt rollback app.db --table notes --column body --execute'),
    )
    .action(async (target, options) => {
      const { rollBackReencryption } = await import('./reencrypt-rollback.ts')
      await rollBackReencryption(terminal, target, options)
    })
}

function finalizeCommand(terminal: Terminal) {
  return new Command('finalize')
    .summary('remove what a rollback would need')
    .description(
      'Reads everything once more and refuses while a value is not in the new form. Then removes the old values that ' +
        'runs kept; a new file takes the name of the old one.',
    )
    .argument('[target]', targetText)
    .option('--execute', 'really do it')
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(delimiterOption())
    .addOption(includeOption())
    .addOption(excludeOption())
    .addOption(endpointOption())
    .addOption(stateFileOption())
    .addOption(formatOption())
    .option('--leave-remaining', 'finalise although some values are still in an old form')
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples('longhold reencrypt finalize app.db --table notes --column body --execute'),
    )
    .action(async (target, options) => {
      const { finalizeReencryption } = await import('./reencrypt-finalize.ts')
      await finalizeReencryption(terminal, target, options)
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
    .addOption(delimiterOption())
    .addOption(includeOption())
    .addOption(excludeOption())
    .addOption(endpointOption())
    .addOption(stateFileOption())
    .addOption(templateOption())
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

function reportCommand(terminal: Terminal) {
  return new Command('report')
    .summary('write down, signed, what was done and what is there now')
    .description(
      'Reads everything, and opens it where an identity is given. Writes what the runs on the target did as JSON, a ' +
        'signature with ML-DSA-65 beside it (FILE.jws) if a key is given, and the same as a page to print.',
    )
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(delimiterOption())
    .addOption(includeOption())
    .addOption(excludeOption())
    .addOption(endpointOption())
    .addOption(stateFileOption())
    .addOption(formatOption())
    .addOption(identityOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .option('-o, --output <file>', 'the report (default: TABLE.report.json)')
    .option('--html <file>', 'the same as a page')
    .option('--sign <file>', 'sign it with this private key of ML-DSA-65')
    .option('--since <date>', 'when data of the old form was first written: the exposure begins there')
    .addOption(busyTimeoutOption())
    .addHelpText(
      'after',
      examples(
        'longhold reencrypt report app.db --table notes --column body -i key.txt --sign auditor.key --html report.html',
      ),
    )
    .action(async (target, options) => {
      const { writeReport } = await import('./reencrypt-audit.ts')
      await writeReport(terminal, target, options)
    })
}

function checkReportCommand(terminal: Terminal) {
  return new Command('check-report')
    .summary('check that a report is what a key signed')
    .argument('<file>', 'the report')
    .requiredOption('--public-key <file>', 'the public key of whoever signed it')
    .option('--signature <file>', 'the signature (default: FILE.jws)')
    .addHelpText(
      'after',
      examples('longhold reencrypt check-report notes.report.json --public-key auditor.key.pub'),
    )
    .action(async (file, options) => {
      const { checkReport } = await import('./reencrypt-audit.ts')
      await checkReport(terminal, file, options)
    })
}

function reportKeyCommand(terminal: Terminal) {
  return new Command('report-key')
    .summary('make a key that signs reports')
    .description('A key of ML-DSA-65, in a new file of mode 0600; the public key beside it, as FILE.pub.')
    .requiredOption('-o, --output <file>', 'the private key')
    .addHelpText('after', examples('longhold reencrypt report-key -o auditor.key'))
    .action(async ({ output }) => {
      const { makeReportKey } = await import('./reencrypt-audit.ts')
      await makeReportKey(terminal, output)
    })
}

function statusCommand(terminal: Terminal) {
  return new Command('status')
    .summary('say how far the newest run on a target is')
    .argument('[target]', targetText)
    .addOption(tableOption())
    .addOption(columnOption())
    .addOption(idOption())
    .addOption(delimiterOption())
    .addOption(includeOption())
    .addOption(excludeOption())
    .addOption(endpointOption())
    .addOption(stateFileOption())
    .addOption(busyTimeoutOption())
    .addHelpText('after', examples('longhold reencrypt status app.db --table notes --column body'))
    .action(async (target, options) => {
      const { showStatus } = await import('./reencrypt-status.ts')
      await showStatus(terminal, target, options)
    })
}
