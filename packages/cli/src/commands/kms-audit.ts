import { existsSync } from 'node:fs'

import { Command, Option } from '@commander-js/extra-typings'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import type { AuditEntry, AuditFilterQuery, AuditVerdict } from '@longhold/core/kms'

import { refused } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { collect } from '../shell/keys.ts'
import { writeOutput } from '../shell/output-file.ts'
import { outputFile, outputOption } from '../shell/output.ts'
import { readPassphraseFile } from '../shell/passphrase.ts'
import { readSettings, settingOptions } from '../shell/service-settings.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, printable } from '../shell/text.ts'
import { toTime } from './kms-arguments.ts'
import { exportCommand, pruneCommand } from './kms-audit-prune.ts'
import { inService } from './service-error.ts'

const maxOfFolder = 50

/** `longhold kms audit …`: what was done, by whom, and whether the log of it is whole. */
export function kmsAuditCommand(terminal: Terminal) {
  return new Command('audit')
    .summary('read and check the audit log of the key service')
    .description('Lists entries of the audit log, oldest first. That it was read is in the log too.')
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(verifyCommand(terminal))
    .addCommand(checkpointCommand(terminal))
    .addCommand(exportCommand(terminal))
    .addCommand(pruneCommand(terminal))
    .addHelpText(
      'after',
      examples(
        'longhold kms audit --action key.rotate --since 2026-11-01',
        'longhold kms audit checkpoint -o /media/elsewhere/checkpoint-1.json',
        'longhold kms audit verify --checkpoint /media/elsewhere/checkpoint-1.json',
        'longhold kms audit verify --checkpoint /media/checkpoints',
      ),
    )
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description(
      'Lists entries, a line each; with --json whole, one JSON a line with the MAC, as an export to keep or to feed to ' +
        'another system.',
    )
    .option('--action <action>', 'only these, say unwrap or key.rotate')
    .option('--token-id <id>', 'only what was done with this token')
    .option('-k, --key <key>', 'only what is about this key')
    .option('--since <time>', 'from then on, say 2026-11-01 or 2026-11-01T08:00:00Z')
    .option('--until <time>', 'before then')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples('longhold kms audit --key payments', 'longhold kms audit --json > audit.jsonl'),
    )
    .action(async (options) => {
      const client = await needKmsClient(terminal, options)
      const filter: AuditFilterQuery = {
        action: options.action,
        principal: options.tokenId,
        key: options.key,
        since: options.since && toTime(options.since),
        until: options.until && toTime(options.until),
      }
      for await (const entries of client.audit.events(filter)) {
        const lines = entries.map((entry) => (terminal.json ? JSON.stringify(entry) : lineOf(entry)))
        await terminal.write(`${lines.join('\n')}\n`)
        terminal.checkStop()
      }
    })
}

function verifyCommand(terminal: Terminal) {
  const command = new Command('verify')
    .description(
      'Checks the whole log for entries that were edited, deleted, reordered or cut off, and holds it against ' +
        'checkpoints that were kept elsewhere, which also show a database that was put back. Exit code 1 when it is ' +
        'not whole. With --stopped it opens the database of a service that does not run, for which a key file or a ' +
        'passphrase is needed in place of a token.',
    )
    .addOption(
      new Option(
        '--checkpoint <path>',
        'a checkpoint that was kept elsewhere, or a folder of them (repeatable)',
      ).argParser(collect),
    )
    .option('--stopped', 'open the database of a service that does not run')
    .option(
      '--passphrase-file <file>',
      'with --stopped, what opens a slot; without, as when the service starts',
    )
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold kms audit verify --checkpoint checkpoint-1.json',
        'longhold kms audit verify --stopped --data-dir keys --checkpoint checkpoint-1.json',
      ),
    )
  for (const option of settingOptions('verify-audit')) command.addOption(option)
  return command.action(async (options, given) => {
    const lines = await readLines(terminal, options.checkpoint ?? [])
    if (options.stopped === true) {
      const found = await verifyStopped(terminal, given, options.passphraseFile, lines)
      return await tellVerdict(terminal, found.verdict, found.held)
    }
    const client = await needKmsClient(terminal, options)
    await tellVerdict(terminal, await client.audit.verify(lines), lines.length)
  })
}

async function verifyStopped(
  terminal: Terminal,
  given: CommandUnknownOpts,
  passphraseFile: string | undefined,
  lines: readonly string[],
): Promise<{ verdict: AuditVerdict; held: number }> {
  const values = await readSettings(terminal, 'verify-audit', given)
  const { 'checkpoint-folder': folder } = values
  // Where nothing was copied yet there is nothing to hold it against.
  const copied = folder !== undefined && existsSync(folder) ? await readLines(terminal, [folder]) : []
  const passphrase =
    passphraseFile === undefined ? undefined : await readPassphraseFile(terminal, passphraseFile)
  const all = [...lines, ...copied]
  const { ok, runs, entries, faults } = await inService(({ verifyAudit, serviceConfigOf }) =>
    verifyAudit({ ...serviceConfigOf(values), checkpointFolder: undefined, passphrase }, all),
  )
  return { verdict: { ok, runs, entries, faults: [...faults] }, held: all.length }
}

async function tellVerdict(terminal: Terminal, verdict: AuditVerdict, checkpoints: number): Promise<void> {
  const { ok, runs, entries, faults } = verdict
  if (!ok) {
    await terminal.answer({ text: faults.map(printable).join('\n'), json: verdict })
    throw refused('the audit log is not whole', {
      hint: 'keep the database as it is for examination; docs/operating.md says what to do',
    })
  }
  const held = checkpoints === 0 ? '' : `, and fits ${plural(checkpoints, 'checkpoint')}`
  const text = `whole: ${count(entries)} entries in ${plural(runs, 'chain')}${held}`
  await terminal.answer({ text, json: verdict })
  if (checkpoints === 0) {
    terminal.hint(
      'what was cut off together with its head shows only against a checkpoint: --checkpoint PATH',
    )
  }
}

function checkpointCommand(terminal: Terminal) {
  return new Command('checkpoint')
    .description(
      'Makes a checkpoint: where each chain of the log ends and which versions are final, signed with ML-DSA-65. Keep ' +
        'it where whoever may write to the database may not.',
    )
    .addOption(outputOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms audit checkpoint -o /media/elsewhere/checkpoint-1.json'))
    .action(async (options) => {
      const client = await needKmsClient(terminal, options)
      const { number, created_at: createdAt, line } = await client.audit.checkpoint()
      const file = outputFile(options)
      if (file === undefined) return await terminal.answer({ text: line, json: { number, line } })
      await writeOutput(terminal, file, `${line}\n`)
      const json = { number, created_at: createdAt, output: file }
      await terminal.answer({ text: `checkpoint ${number}: ${file}`, json })
    })
}

/** The newest of each folder: older ones show nothing that newer ones do not. */
async function readLines(terminal: Terminal, paths: readonly string[]): Promise<string[]> {
  if (paths.length === 0) return []
  const found = await inService(({ readCheckpointLines }) =>
    Promise.all(paths.map((path) => readCheckpointLines(terminal.path(path), maxOfFolder))),
  )
  return found.flat()
}

interface Body {
  readonly at?: string
  readonly action?: string
  readonly principal?: string
  readonly key?: string
  readonly version?: number
  readonly from?: string
  readonly to?: string
  readonly token?: string
  readonly subject?: string
  readonly result?: string
  readonly items?: readonly {
    readonly result: string
    readonly key?: string
    readonly key_ids: readonly string[]
    readonly count?: number
  }[]
}

function lineOf({ run, seq, body }: AuditEntry): string {
  // What is no entry of ours is shown as it is.
  const event = parsed(body)
  if (event === undefined) return printable(`${run.slice(0, 8)}/${seq}  ${body}`)
  const { at = '', action = '', principal = '-', key, version, from, to, items = [] } = event
  const about = [
    ...(key === undefined ? [] : [version === undefined ? key : `${key} ${version}`]),
    ...(to === undefined ? [] : [from === undefined ? to : `${from} → ${to}`]),
    ...[event.subject, event.token, event.result].filter((one) => one !== undefined),
    ...items.map((item) => `${item.key ?? '?'} ${item.count ?? item.key_ids.length}× ${item.result}`),
  ]
  return printable(`${at}  ${action}  ${principal}  ${about.join(', ')}`.trimEnd())
}

function parsed(body: string): Body | undefined {
  try {
    return JSON.parse(body) as Body
  } catch {
    return undefined
  }
}
