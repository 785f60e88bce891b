import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import type { Terminal } from '../shell/terminal.ts'
import { kmsDoctorCommand } from './kms-doctor.ts'
import { kmsCreateCommand, kmsListCommand, kmsRotateCommand } from './kms-keys.ts'
import { kmsServeCommand } from './kms-serve.ts'
import { kmsTokensCommand } from './kms-tokens.ts'

/** `longhold kms …`: run a key service, and look after the keys of one. */
export function kmsCommand(terminal: Terminal) {
  const keys = new Command('keys')
    .summary('list the keys of the key service, or create one')
    .description('Lists the keys of the key service; keys create makes a new one.')
    .addCommand(kmsListCommand(terminal), { isDefault: true })
    .addCommand(kmsCreateCommand(terminal))
    .addHelpText('after', examples('longhold kms keys', 'longhold kms keys create archive'))
  return new Command('kms')
    .summary('run a key service, and look after its keys')
    .description('Runs the embedded key service, and looks after the keys of any key service.')
    .addCommand(kmsServeCommand(terminal))
    .addCommand(kmsDoctorCommand(terminal))
    .addCommand(keys)
    .addCommand(kmsRotateCommand(terminal))
    .addCommand(kmsTokensCommand(terminal))
    .addHelpText('after', examples('longhold kms serve', 'longhold kms rotate default'))
}
