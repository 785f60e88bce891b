import { Command, Option } from '@commander-js/extra-typings'
import type { AcceptRollbackRequest, RollbackAnswer, SlotKind } from '@longhold/core/kms'
import type { Values } from '@longhold/kms/config'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { readPassphraseFile } from '../shell/passphrase.ts'
import { readSettings, settingOptions } from '../shell/service-settings.ts'
import { readKeyFile, readShareFile } from '../shell/slot-secrets.ts'
import { runningService, socketOf } from '../shell/sys-client.ts'
import type { Terminal } from '../shell/terminal.ts'
import { inService } from './service-error.ts'

interface Secrets {
  readonly passphraseFile?: string | undefined
  readonly shareFile?: string | undefined
}

/** `longhold kms accept-rollback`: goes on with a database that was put back. */
export function kmsAcceptRollbackCommand(terminal: Terminal) {
  const command = new Command('accept-rollback')
    .summary('go on with a database that was put back to what it once was')
    .description(
      'A key service whose database is older than its anchor answers nothing. This command goes on with that database ' +
        'all the same: of a service that runs, by its admin socket, and of one that does not. What the newer database ' +
        'held is lost: keys and versions made since, and tokens revoked since are valid again. Without --epochs it ' +
        'names the two epochs and changes nothing. Needs what opens a slot, since tokens of such a database prove ' +
        'nothing, and is written to the audit log.',
    )
    .addOption(
      new Option(
        '--passphrase-file <file>',
        'opens a slot; without, the key file or the other service',
      ).conflicts('shareFile'),
    )
    .addOption(new Option('--share-file <file>', 'one share, to a service that runs; once for each share'))
    .addOption(new Option('--yes', 'accept whatever the epochs are').conflicts('epochs'))
    .addHelpText(
      'after',
      examples('longhold kms accept-rollback', 'longhold kms accept-rollback --epochs 41:57'),
    )
  for (const option of settingOptions('accept-rollback')) command.addOption(option)
  return command.action(async ({ passphraseFile, shareFile, yes }, given) => {
    const values = await readSettings(terminal, 'accept-rollback', given)
    const epochs = yes === true ? 'any' : values.epochs
    const secrets = { passphraseFile, shareFile }
    const running = await runningService(terminal, socketOf(values))
    if (running === undefined) return await acceptStopped(terminal, values, secrets, epochs)
    const attempt = await attemptOf(terminal, values, secrets, running.status.kinds)
    const answer = await running.ask((client) => client.acceptRollback({ ...attempt, epochs }))
    await tell(terminal, answer)
    if (answer.what !== null && !answer.accepted) {
      const there = `${answer.database_epoch}:${answer.anchor_epoch ?? 'none'}`
      throw usage(answer.what, {
        hint: `restore the newest database; or, to go on with this one: --epochs ${there}`,
      })
    }
  })
}

async function acceptStopped(
  terminal: Terminal,
  values: Values,
  { passphraseFile, shareFile }: Secrets,
  epochs: string | undefined,
): Promise<void> {
  if (shareFile !== undefined) {
    throw usage('shares are given to a service that runs', { hint: 'start it first: longhold kms serve' })
  }
  const passphrase =
    passphraseFile === undefined ? undefined : await readPassphraseFile(terminal, passphraseFile)
  const found = await inService(async ({ acceptRollback, serviceConfigOf }) => {
    return await acceptRollback({ ...serviceConfigOf(values), epochs, passphrase })
  })
  await tell(terminal, {
    accepted: found?.isAccepted ?? false,
    what: found?.what ?? null,
    database_epoch: found?.databaseEpoch ?? null,
    anchor_epoch: found?.anchorEpoch ?? null,
    shares: null,
  })
}

/** What a service at its start would take, unless something was given. */
async function attemptOf(
  terminal: Terminal,
  { 'key-file': keyFile, 'data-dir': dataDir = '.' }: Values,
  { passphraseFile, shareFile }: Secrets,
  kinds: readonly SlotKind[],
): Promise<AcceptRollbackRequest> {
  if (passphraseFile !== undefined) return { passphrase: await readPassphraseFile(terminal, passphraseFile) }
  if (shareFile !== undefined) return { share: await readShareFile(terminal, shareFile) }
  if (kinds.includes('key-file'))
    return { key_file: await readKeyFile(terminal, keyFile ?? `${dataDir}/root.key`) }
  if (kinds.includes('key-service')) return { key_service: true }
  throw usage(`this service is opened by ${kinds.join(' or ')}`, {
    hint: 'give --passphrase-file FILE or --share-file FILE',
  })
}

async function tell(terminal: Terminal, answer: RollbackAnswer): Promise<void> {
  const { accepted, what, shares } = answer
  // What was found and not accepted is an error, and said there.
  if (what !== null && !accepted) return
  const text = accepted
    ? `accepted: ${what ?? ''}`
    : shares === null
      ? 'there is nothing to accept: the database is not older than its anchor'
      : `${shares.given} of ${shares.threshold} shares are there: give the next one`
  const { database_epoch, anchor_epoch } = answer
  await terminal.answer({ text, json: { accepted, database_epoch, anchor_epoch } })
}
