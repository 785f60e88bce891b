import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { identityOption, recipientOption, recipientsFileOption } from '../shell/keys.ts'
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

const targetText =
  'an SQLite database, postgres://…, a file of NDJSON or CSV, a directory, or s3://BUCKET/PREFIX; without it, what longhold.yaml says'

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

/** What run and retry have in common. */
function withRunOptions(command: Command) {
  return command
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
    .option(
      '--consumer-ready',
      'replace values that a controller or client reads too: it reads records by now',
    )
    .option('--skip-trial', 'go on although none of the first values opens')
    .addOption(templateOption())
    .option('--no-xattrs', 'in a tree: do not keep extended attributes, where nothing copies them')
    .option('--no-originals', 'keep no old values in the database: the run cannot be rolled back')
    .option('--max-rows-per-second <n>', 'read no more rows a second', wholeNumber(1))
    .option('--max-bytes-per-second <n>', 're-encrypt no more bytes a second', wholeNumber(1))
    .option('--pause-file <file>', 'wait as long as this file exists')
    .option('--pause-query <sql>', 'wait as long as this query of the database gives more than --pause-above')
    .option('--pause-above <n>', 'the bound of --pause-query (default: 0)', wholeNumber(0))
    .addOption(busyTimeoutOption())
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
