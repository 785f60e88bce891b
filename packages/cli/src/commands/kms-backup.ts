import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

import { Command, Option } from '@commander-js/extra-typings'
import { LongholdError } from '@longhold/core'
import type { BackupInfo } from '@longhold/core/kms'

import { CliError, fileError, stopped, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { checkOutput, OutputFile } from '../shell/output-file.ts'
import { outputFile, outputOption, pour } from '../shell/output.ts'
import { needSysClient } from '../shell/sys-client.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'
import { ByteProgress } from './byte-progress.ts'

/** `longhold kms backup …`: copies of the database of a key service, sealed to people outside it. */
export function kmsBackupCommand(terminal: Terminal) {
  return new Command('backup')
    .summary('make backups of the key service, and keep account of them')
    .description(
      'Makes a backup of the whole database while the service runs, sealed to the recipients that the service is ' +
        'started with (backup-recipients). It counts once it is on a disk, which this command says to the service. ' +
        'The file opens with an identity of these recipients and nothing else: longhold kms restore.',
    )
    .addCommand(createCommand(terminal), { isDefault: true })
    .addCommand(listCommand(terminal))
    .addCommand(confirmCommand(terminal))
    .addCommand(removeCommand(terminal))
    .addHelpText(
      'after',
      examples(
        'longhold kms backup --output /media/elsewhere/kms-2026-11-25.lhb',
        'longhold kms backup list',
        'longhold kms backup remove 0123456789abcdef0123456789abcdef',
      ),
    )
}

function createCommand(terminal: Terminal) {
  return new Command('create')
    .description('Makes a backup.')
    .addOption(outputOption())
    .addOption(
      new Option('--to-folder', 'into the folder of the service (backup-folder)').conflicts('output'),
    )
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms backup --output kms.lhb', 'longhold kms backup --to-folder'))
    .action(async (options) => {
      if (options.toFolder === true) {
        const info = await (await needSysClient(terminal, options)).writeBackup()
        return await terminal.answer({ text: describe(info, info.file_name ?? ''), json: info })
      }
      const file = outputFile(options)
      if (file === undefined) {
        throw usage('a backup goes into a file: nobody could say otherwise that it is on a disk', {
          hint: 'give --output FILE, or --to-folder',
        })
      }
      await checkOutput(terminal, file, false)
      const client = await needSysClient(terminal, options)
      const { backup, bytes } = await client.takeBackup()
      const hash = createHash('sha256')
      {
        using progress = new ByteProgress(terminal, 'backup', undefined)
        await using output = await OutputFile.create(terminal, file, { mode: 0o600 })
        try {
          await pour(bytes, output, (piece) => {
            hash.update(piece)
            progress.add(piece.length)
            terminal.checkStop()
          })
        } catch (error) {
          throw cutShort(error)
        }
      }
      const info = await confirm(backup, file, () => client.confirmBackup(backup, hash.digest('hex')))
      await terminal.answer({ text: describe(info, file), json: { ...info, output: file } })
    })
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists the backups that are on record, and until when they are kept.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms backup list'))
    .action(async (options) => {
      const backups = await (await needSysClient(terminal, options)).listBackups()
      const sorted = backups.toSorted((a, b) => (a.taken_at < b.taken_at ? -1 : 1))
      const rows = sorted.map((one) => [
        one.backup,
        one.taken_at,
        one.expires_at,
        one.bytes === null ? '-' : String(one.bytes),
        one.confirmed_at === null ? 'not confirmed' : (one.file_name ?? 'handed out'),
      ])
      const text = table([['BACKUP', 'TAKEN', 'EXPIRES', 'BYTES', 'WHERE'], ...rows])
      await terminal.answer({ text: rows.length === 0 ? 'no backup is on record' : text, json: sorted })
    })
}

function confirmCommand(terminal: Terminal) {
  return new Command('confirm')
    .description(
      'Says that a file is a backup as the service handed it out, whole and on a disk; what longhold kms backup could ' +
        'not say itself. Also shows whether a file is still what it was.',
    )
    .argument('<id>', 'of the backup')
    .argument('<file>', 'where it is')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms backup confirm 0123456789abcdef0123456789abcdef kms.lhb'))
    .action(async (id, file, options) => {
      const sha256 = await digestOf(terminal, file)
      const info = await (await needSysClient(terminal, options)).confirmBackup(id, sha256)
      await terminal.answer({ text: describe(info, file), json: info })
    })
}

function removeCommand(terminal: Terminal) {
  return new Command('remove')
    .description(
      'Says that a backup is deleted, everywhere. One in the folder of the service is deleted by it. A version that ' +
        'was destroyed is gone when no backup holds it any more: say it only when it is true.',
    )
    .argument('<id>', 'of the backup')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms backup remove 0123456789abcdef0123456789abcdef'))
    .action(async (id, options) => {
      await (await needSysClient(terminal, options)).removeBackup(id)
      await terminal.answer({ text: `backup ${id} is not on record any more`, json: { backup: id } })
    })
}

function describe(info: BackupInfo, place: string): string {
  return table([
    ['backup', info.backup],
    ['file', place],
    ['bytes', String(info.bytes)],
    ['sha256', info.sha256 ?? '-'],
    ['expires', info.expires_at],
  ])
}

/** The file is there and whole: only the service does not know it yet. */
async function confirm(backup: string, file: string, ask: () => Promise<BackupInfo>): Promise<BackupInfo> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    throw stopped(`${file} is written, but the service was not told: ${error.message}`, {
      hint: `longhold kms backup confirm ${backup} ${file}`,
      cause: error,
    })
  }
}

/** What the platform says of a stream that broke off. */
function cutShort(error: unknown): unknown {
  if (error instanceof CliError || error instanceof LongholdError) return error
  if (!(error instanceof Error) || !/terminated|aborted|reset|premature/iu.test(error.message)) return error
  return stopped('the backup broke off before its end, and was not kept', {
    hint: 'look at the log of the service, then try again',
    cause: error,
  })
}

async function digestOf(terminal: Terminal, file: string): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const piece of createReadStream(terminal.path(file))) hash.update(piece as Uint8Array)
  } catch (error) {
    throw fileError(error, file, 'read')
  }
  return hash.digest('hex')
}
