import { Command } from '@commander-js/extra-typings'

import { examples } from '../shell/help.ts'
import type { Terminal } from '../shell/terminal.ts'
import { kmsAcceptRollbackCommand } from './kms-accept-rollback.ts'
import { kmsAliasesCommand } from './kms-aliases.ts'
import { kmsAuditCommand } from './kms-audit.ts'
import { kmsBackupCommand } from './kms-backup.ts'
import { kmsCensusCommand } from './kms-census.ts'
import { kmsClockCommand } from './kms-clock.ts'
import { kmsDoctorCommand } from './kms-doctor.ts'
import { kmsExplainCommand } from './kms-explain.ts'
import { kmsGrantsCommand } from './kms-grants.ts'
import { kmsInitCommand } from './kms-init.ts'
import { kmsKeysCommand } from './kms-keys.ts'
import { kmsPrincipalsCommand } from './kms-principals.ts'
import { kmsRestoreCommand } from './kms-restore.ts'
import { kmsServeCommand } from './kms-serve.ts'
import { kmsRotateRootCommand, kmsSlotsCommand } from './kms-slots.ts'
import { kmsTokensCommand } from './kms-tokens.ts'
import { kmsSealCommand, kmsSealStatusCommand, kmsUnsealCommand } from './kms-unseal.ts'
import { kmsRotateCommand, kmsVersionsCommand } from './kms-versions.ts'

/** `longhold kms …`: run a key service, and look after the keys of one. */
export function kmsCommand(terminal: Terminal) {
  return new Command('kms')
    .summary('run a key service, and look after its keys')
    .description('Runs the embedded key service, and looks after the keys of any key service.')
    .addCommand(kmsInitCommand(terminal))
    .addCommand(kmsServeCommand(terminal))
    .addCommand(kmsDoctorCommand(terminal))
    .addCommand(kmsAcceptRollbackCommand(terminal))
    .addCommand(kmsBackupCommand(terminal))
    .addCommand(kmsRestoreCommand(terminal))
    .addCommand(kmsKeysCommand(terminal))
    .addCommand(kmsRotateCommand(terminal))
    .addCommand(kmsVersionsCommand(terminal))
    .addCommand(kmsAliasesCommand(terminal))
    .addCommand(kmsCensusCommand(terminal))
    .addCommand(kmsClockCommand(terminal))
    .addCommand(kmsTokensCommand(terminal))
    .addCommand(kmsPrincipalsCommand(terminal))
    .addCommand(kmsGrantsCommand(terminal))
    .addCommand(kmsExplainCommand(terminal))
    .addCommand(kmsAuditCommand(terminal))
    .addCommand(kmsUnsealCommand(terminal))
    .addCommand(kmsSealStatusCommand(terminal))
    .addCommand(kmsSealCommand(terminal))
    .addCommand(kmsSlotsCommand(terminal))
    .addCommand(kmsRotateRootCommand(terminal))
    .addHelpText('after', examples('longhold kms serve', 'longhold kms rotate default'))
}
