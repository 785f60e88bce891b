import { Command, Option } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import { readPassphraseFile } from '../shell/passphrase.ts'
import { readSettings, settingOptions } from '../shell/service-settings.ts'
import type { Terminal } from '../shell/terminal.ts'
import { inService } from './service-error.ts'

/** `longhold kms accept-rollback`: goes on with a database that was put back. */
export function kmsAcceptRollbackCommand(terminal: Terminal) {
  const command = new Command('accept-rollback')
    .summary('go on with a database that was put back to what it once was')
    .description(
      'A key service whose database is older than its anchor answers nothing. This command goes on with that database ' +
        'all the same, once the service is stopped. What the newer database held is lost: keys and versions made since, ' +
        'and tokens revoked since are valid again. Without --epochs it names the two epochs and changes nothing. ' +
        'Needs what opens a slot, and is written to the audit log.',
    )
    .addOption(
      new Option('--passphrase-file <file>', 'opens a slot; without, the key file or the other service'),
    )
    .addOption(new Option('--yes', 'accept whatever the epochs are').conflicts('epochs'))
    .addHelpText(
      'after',
      examples('longhold kms accept-rollback', 'longhold kms accept-rollback --epochs 41:57'),
    )
  for (const option of settingOptions('accept-rollback')) command.addOption(option)
  return command.action(async ({ passphraseFile, yes }, given) => {
    const values = await readSettings(terminal, 'accept-rollback', given)
    const passphrase =
      passphraseFile === undefined ? undefined : await readPassphraseFile(terminal, passphraseFile)
    const accepted = await inService(async ({ acceptRollback, serviceConfigOf }) => {
      const epochs = yes === true ? 'any' : values.epochs
      return await acceptRollback({ ...serviceConfigOf(values), epochs, passphrase })
    })
    await terminal.answer({
      text:
        accepted === undefined
          ? 'there is nothing to accept: the database is not older than its anchor'
          : `accepted: ${accepted.what}`,
      json: {
        accepted: accepted !== undefined,
        database_epoch: accepted?.databaseEpoch ?? null,
        anchor_epoch: accepted?.anchorEpoch ?? null,
      },
    })
  })
}
