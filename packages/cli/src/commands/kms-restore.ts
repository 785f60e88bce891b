import { stat } from 'node:fs/promises'

import { Command, Option } from '@commander-js/extra-typings'

import { fileError, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { readIdentities } from '../shell/identity-files.ts'
import { collect, identityOption } from '../shell/keys.ts'
import { readPassphraseFile } from '../shell/passphrase.ts'
import { readSettings, settingOptions } from '../shell/service-settings.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import { ByteProgress } from './byte-progress.ts'
import { inService } from './service-error.ts'

/** `longhold kms restore`: a key service from a backup, where there is none. */
export function kmsRestoreCommand(terminal: Terminal) {
  const command = new Command('restore')
    .summary('restore a key service from a backup')
    .description(
      'Brings a backup back into an empty database, SQLite or PostgreSQL, wherever it was taken. Everything in it is ' +
        'checked before anything is written. All tokens of before end: the new one makes one other token, within an ' +
        'hour. The slots of before are gone: there is a new key file, or a passphrase. What a checkpoint knows to be ' +
        'compromised or destroyed stays so. Interrupted, the same command again goes on.',
    )
    .addOption(new Option('--backup <file>', 'the backup').makeOptionMandatory())
    .addOption(identityOption())
    .addOption(
      new Option(
        '--fingerprint <text>',
        'of the service, as init printed it and clients pin it',
      ).makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--checkpoint <path>',
        'a checkpoint that was kept elsewhere, or a folder of them (repeatable)',
      ).argParser(collect),
    )
    .addOption(new Option('--slot-passphrase-file <file>', 'the new slot is this passphrase, not a key file'))
    .addOption(new Option('--check', 'only check the backup, and write nothing'))
    .addOption(new Option('--yes', 'accept whatever the epochs are').conflicts('epochs'))
    .addHelpText(
      'after',
      examples(
        'longhold kms restore --backup kms.lhb --identity offline.key --fingerprint "$FINGERPRINT" --check',
        'longhold kms restore --backup kms.lhb --identity offline.key --fingerprint "$FINGERPRINT" --data-dir keys',
      ),
    )
  for (const option of settingOptions('restore')) command.addOption(option)
  return command.action(async (options, given) => {
    const { backup, identity = [], fingerprint, checkpoint = [], yes } = options
    if (identity.length === 0) {
      throw usage('no identity that opens the backup', {
        hint: 'give --identity FILE, that of its recipient',
      })
    }
    const identities = (await Promise.all(identity.map((file) => readIdentities(terminal, file)))).flat()
    const path = terminal.path(backup)
    const bytes = await sizeOf(path, backup)
    const file = {
      backup: path,
      identities,
      fingerprint,
      checkpoints: checkpoint.map((one) => terminal.path(one)),
    }
    if (options.check === true) {
      using progress = new ByteProgress(terminal, 'check', bytes)
      const report = await inService(({ checkBackupFile }) =>
        checkBackupFile({ ...file, epochs: 'any', onRead: (read) => progress.add(read) }),
      )
      const { keys, versions, entries } = report
      const content = `${plural(keys, 'key')}, ${plural(versions, 'version')}, ${count(entries)} entries of the log`
      return await terminal.answer({
        text: table([
          ['backup', report.backup],
          ['cluster', report.clusterId],
          ['taken', new Date(report.takenAt).toISOString()],
          ['epoch', String(report.epoch)],
          ['holds', content],
          ['sha256', report.sha256],
        ]),
        json: jsonOf(report),
      })
    }
    const values = await readSettings(terminal, 'restore', given)
    const slotPassphrase =
      options.slotPassphraseFile === undefined
        ? undefined
        : await readPassphraseFile(terminal, options.slotPassphraseFile)
    using progress = new ByteProgress(terminal, 'restore', 2 * bytes)
    const made = await inService(({ restoreService, serviceConfigOf }) =>
      restoreService({
        ...serviceConfigOf(values),
        ...file,
        epochs: yes === true ? 'any' : values.epochs,
        slotPassphrase,
        onRead: (read) => progress.add(read),
      }),
    )
    progress[Symbol.dispose]()
    const { report, database, keyFile, tokenFile } = made
    await terminal.answer({
      text: [
        `database     ${database}`,
        `slot         ${keyFile ?? 'the passphrase'}`,
        `first token  ${tokenFile}`,
        ...(report === undefined ? ['it was restored before; what was left to do is done'] : []),
      ].join('\n'),
      json: { database, key_file: keyFile ?? null, token_file: tokenFile, ...(report && jsonOf(report)) },
    })
    if (terminal.json) return
    for (const { key, version, state } of report?.merged ?? []) {
      terminal.note(`version ${version} of ${key} is ${state}, as the checkpoint says`)
    }
    for (const { key, from, to } of report?.lost ?? []) {
      const which = from === to ? `version ${from}` : `versions ${from} to ${to}`
      terminal.warn(
        `${which} of ${key} came after the backup: what is wrapped for them is lost`,
        'rotate the key',
      )
    }
    for (const key of report?.lostKeys ?? []) {
      terminal.warn(`the key ${key} came after the backup: what is wrapped for it is lost`, 'make it again')
    }
    terminal.hint(
      'longhold kms serve; then tokens create, slots add, and rotate-root: docs/operating.md goes on',
    )
  })
}

async function sizeOf(path: string, shown: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    throw fileError(error, shown, 'read')
  }
}

interface Report {
  readonly backup: string
  readonly clusterId: string
  readonly fingerprint: string
  readonly takenAt: number
  readonly epoch: number
  readonly keys: number
  readonly versions: number
  readonly entries: number
  readonly byteLength: number
  readonly sha256: string
  readonly newEpoch?: number
  readonly tokensEnded?: number
  readonly merged?: readonly object[]
  readonly lost?: readonly object[]
  readonly lostKeys?: readonly string[]
}

function jsonOf(report: Report): Record<string, unknown> {
  return {
    backup: report.backup,
    cluster: report.clusterId,
    fingerprint: report.fingerprint,
    taken_at: new Date(report.takenAt).toISOString(),
    epoch: report.epoch,
    keys: report.keys,
    versions: report.versions,
    entries: report.entries,
    bytes: report.byteLength,
    sha256: report.sha256,
    new_epoch: report.newEpoch,
    tokens_ended: report.tokensEnded,
    merged: report.merged,
    lost: report.lost,
    lost_keys: report.lostKeys,
  }
}
