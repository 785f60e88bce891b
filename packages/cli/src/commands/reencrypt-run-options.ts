/** The options of `longhold reencrypt run` and of the commands that take what it takes. */

import type { Command } from '@commander-js/extra-typings'

import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { identityOption, recipientOption, recipientsFileOption } from '../shell/keys.ts'
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

export const targetText =
  'an SQLite database, postgres://…, a file of NDJSON or CSV, a directory, or s3://BUCKET/PREFIX; without it, what longhold.yaml says'

/** What run, retry and worker have in common. */
export function withRunOptions(command: Command) {
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
