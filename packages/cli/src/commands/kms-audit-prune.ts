import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

import { Command, Option } from '@commander-js/extra-typings'
import { auditExportLine } from '@longhold/core/kms'
import type { KmsClient } from '@longhold/core/kms'

import { fileError, refused, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { OutputFile } from '../shell/output-file.ts'
import { outputFile } from '../shell/output.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count } from '../shell/text.ts'
import { toTime } from './kms-arguments.ts'
import { inService } from './service-error.ts'

interface Covering {
  readonly checkpoint?: string | undefined
  readonly before?: string | undefined
}

/** `longhold kms audit export`: entries to keep elsewhere. */
export function exportCommand(terminal: Terminal) {
  return new Command('export')
    .description(
      'Writes the entries that a checkpoint covers and that were not pruned yet into a file, one JSON a line: for a ' +
        'SIEM, and to be kept when they are pruned. Says the SHA-256 of the file.',
    )
    .addOption(checkpointOption())
    .addOption(beforeOption())
    .requiredOption('-o, --output <file>', 'write to this file')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms audit export --before 2026-01-01 -o audit-2025.jsonl'))
    .action(async (options) => {
      const file = outputFile(options)
      if (file === undefined)
        throw usage('an export goes to a file', { hint: 'give its name: --output FILE' })
      const client = await needKmsClient(terminal, options)
      const { number, line } = await coveringCheckpoint(terminal, client, options)
      // Contexts and names stand in it.
      await using output = await OutputFile.create(terminal, file, { mode: 0o600 })
      const hash = createHash('sha256')
      let written = 0
      for await (const entries of client.audit.covered(line)) {
        terminal.checkStop()
        const bytes = Buffer.from(entries.map(auditExportLine).join(''))
        hash.update(bytes)
        await output.write(bytes)
        written += entries.length
      }
      await output.commit()
      const sha256 = hash.digest('hex')
      const text = `${count(written)} entries up to checkpoint ${number}: ${file}\nSHA-256 ${sha256}`
      await terminal.answer({ text, json: { checkpoint: number, entries: written, output: file, sha256 } })
    })
}

/** `longhold kms audit prune`: entries that are kept elsewhere go. */
export function pruneCommand(terminal: Terminal) {
  return new Command('prune')
    .description(
      'Deletes the entries that a checkpoint covers and an export has: all of them, and no others. How old they must be ' +
        'is for the configuration of the service to say (audit-retention). It is in the log, and the rest of the log ' +
        'is checked as before, from where it begins now.',
    )
    .addOption(checkpointOption())
    .addOption(beforeOption())
    .requiredOption('--export <file>', 'what `longhold kms audit export` wrote, up to the same checkpoint')
    .option('--dry-run', 'say whether it would be done, and do nothing')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms audit prune --before 2026-01-01 --export audit-2025.jsonl'))
    .action(async (options) => {
      const client = await needKmsClient(terminal, options)
      const { number, line } = await coveringCheckpoint(terminal, client, options)
      const sha256 = await digestOf(terminal, options.export)
      if (options.dryRun === true) {
        await client.audit.checkPrune(line, sha256)
        const json = { checkpoint: number, dry_run: true }
        return await terminal.answer({ text: `would be pruned up to checkpoint ${number}`, json })
      }
      const pruned = await client.audit.prune(line, sha256)
      const text = `pruned ${count(pruned.entries)} entries: the log begins at checkpoint ${pruned.checkpoint}`
      await terminal.answer({ text, json: pruned })
      terminal.hint('keep the export, and the checkpoint with it: nothing else says what was done before')
    })
}

function checkpointOption() {
  return new Option('--checkpoint <path>', 'up to this checkpoint: a file, or the newest of a folder')
}

function beforeOption() {
  return new Option('--before <time>', 'up to the newest checkpoint from before then, say 2026-01-01')
}

async function coveringCheckpoint(
  terminal: Terminal,
  client: KmsClient,
  { checkpoint, before }: Covering,
): Promise<{ number: number; line: string }> {
  if ((checkpoint === undefined) === (before === undefined)) {
    throw usage('up to which checkpoint is said by --checkpoint or by --before')
  }
  if (checkpoint !== undefined) {
    const [line = ''] = await inService(({ readCheckpointLines }) =>
      readCheckpointLines(terminal.path(checkpoint), 1),
    )
    return { number: numberIn(line), line }
  }
  const end = toTime(before ?? '')
  const found = (await client.audit.listCheckpoints()).findLast(({ created_at: at }) => at < end)
  if (found === undefined) {
    throw refused('there is no checkpoint from before then', {
      hint: 'the service makes one an hour while something changes: take a later time',
    })
  }
  return found
}

/** For people: the service reads the line itself, and believes it only for its signature. */
function numberIn(line: string): number {
  try {
    const { body } = JSON.parse(line) as { body: string }
    return (JSON.parse(body) as { number: number }).number
  } catch {
    throw usage('this is no checkpoint of the key service')
  }
}

async function digestOf(terminal: Terminal, file: string): Promise<string> {
  const hash = createHash('sha256')
  try {
    for await (const piece of createReadStream(terminal.path(file))) hash.update(piece as Buffer)
  } catch (error) {
    throw fileError(error, file, 'read')
  }
  return hash.digest('hex')
}
