import { stat } from 'node:fs/promises'

import { Command } from '@commander-js/extra-typings'
import { attach, concat, detach, toText } from '@longhold/core'

import { aboutFile, openContainer } from '../shell/containers.ts'
import { CliError, fromCoreItem, refused, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import {
  contextOption,
  identityOption,
  parseContext,
  recipientOption,
  recipientsFileOption,
} from '../shell/keys.ts'
import { OutputFile } from '../shell/output-file.ts'
import { passphraseFileOption } from '../shell/passphrase.ts'
import { openRewrapper, recipientChange } from '../shell/rewrapper.ts'
import type { RecipientChange, Rewrapper } from '../shell/rewrapper.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural } from '../shell/text.ts'
import { ByteProgress } from './byte-progress.ts'
import { busyTimeoutOption, defaultBusyTimeoutS } from './reencrypt-flags.ts'
import { rewrapDatabase } from './rewrap-database.ts'

/** `longhold rewrap`: other recipients for the same data keys. Bodies and records stay as they are. */
export function rewrapCommand(terminal: Terminal) {
  return new Command('rewrap')
    .summary('give files, or the wrapped keys of a database, other recipients')
    .description(
      'Writes new headers for exactly the recipients given, and leaves what is encrypted as it is. Files are ' +
        'replaced whole; in a database each row of longhold_data_keys is replaced only if it is still what was ' +
        'read, and rows that have these recipients already are left alone, so that it can be run again. A data ' +
        'key that somebody loses is not written under any more: its state becomes reading.\n\n' +
        'It takes nobody’s access away: who kept an old header, or the data key, still opens the data.',
    )
    .argument('[files...]', 'envelopes and wrapped keys')
    .option('--sqlite <database>', 'rewrap the table longhold_data_keys of this SQLite database instead')
    .addOption(recipientOption())
    .addOption(recipientsFileOption())
    .addOption(identityOption())
    .addOption(passphraseFileOption())
    .addOption(contextOption())
    .addOption(busyTimeoutOption())
    .option('--unwrap-here', 'unwrap data keys in this process even where the key service could do it all')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold rewrap --identity old.txt --recipients-file new.txt --context tenant=acme *.lh',
        'longhold rewrap --sqlite app.db --recipient kms:default',
      ),
    )
    .action(async (files, options) => {
      const context = parseContext(options.context)
      if (options.sqlite === undefined) {
        if (files.length === 0) throw usage('nothing to rewrap', { hint: 'give files, or --sqlite DATABASE' })
        return await rewrapFiles(terminal, files, await openRewrapper(terminal, options), context)
      }
      if (files.length > 0) throw usage('give files or --sqlite, not both')
      if (options.context !== undefined) {
        throw usage('--context does not go with --sqlite', { hint: 'each row holds the context of its key' })
      }
      const database = {
        path: terminal.path(options.sqlite),
        shown: options.sqlite,
        busyTimeoutMs: (options.busyTimeout ?? defaultBusyTimeoutS) * 1000,
      }
      await rewrapDatabase(terminal, database, await openRewrapper(terminal, options))
    })
}

interface FileResult {
  readonly file: string
  readonly status: 'rewrapped' | 'unchanged' | 'failed'
  readonly change?: RecipientChange
  readonly error?: CliError
}

async function rewrapFiles(
  terminal: Terminal,
  files: readonly string[],
  rewrapper: Rewrapper,
  context: Record<string, string>,
): Promise<void> {
  const results: FileResult[] = []
  for (const file of files) {
    terminal.checkStop()
    try {
      results.push(await rewrapFile(terminal, file, rewrapper, context))
    } catch (error) {
      // What concerns all files ends the command; those before this one are done, and skipped next time.
      if (!(error instanceof CliError) || error.exitCode === 4) throw error
      results.push({ file, status: 'failed', error })
    }
  }
  const failed = results.filter(({ status }) => status === 'failed')
  const [only] = failed
  if (results.length === 1 && only?.error !== undefined) throw only.error
  await terminal.answer({
    text: results
      .filter(({ error }) => error === undefined)
      .map(describe)
      .join('\n'),
    json: { files: results.map(toJson) },
  })
  if (failed.length === 0) return
  for (const { error } of failed) if (error !== undefined) terminal.warn(error.message, error.hint)
  throw refused(`${count(failed.length)} of ${plural(results.length, 'file')} could not be rewrapped`)
}

async function rewrapFile(
  terminal: Terminal,
  file: string,
  rewrapper: Rewrapper,
  keyContext: Record<string, string>,
): Promise<FileResult> {
  await using container = await openContainer(terminal, file)
  const { head, kind, form, source } = container
  if (kind === 'record') {
    throw refused(`${file} is a record: it has no recipients of its own`, { hint: 'rewrap its wrapped key' })
  }
  if (source === undefined) throw usage(`${file} is not a file, and cannot be replaced`)
  const change = await aboutFile(file, () => recipientChange(head, rewrapper))
  if (change.none) return { file, status: 'unchanged', change }

  // The beginning of the body is in the head and moves with it; the rest is copied behind it as it is.
  const parts = kind === 'envelope' ? detach(head) : { wrappedKey: head, record: undefined }
  const [result] = await rewrapper.rewrap([{ wrappedKey: parts.wrappedKey, keyContext }])
  if (result === undefined) throw new Error('no result for a wrapped key')
  if ('error' in result) throw fromCoreItem(result.error, file)
  const { record } = parts
  const renewed = record === undefined ? result.wrappedKey : attach({ wrappedKey: result.wrappedKey, record })

  const like = await stat(terminal.path(file))
  await using output = await OutputFile.create(terminal, file, { overwrite: true, like })
  using progress = new ByteProgress(terminal, file, source.size - head.length)
  if (form === 'text') {
    const rest = await source.read(head.length, source.size - head.length)
    await output.write(Buffer.from(`${toText(concat(renewed, rest))}\n`))
  } else {
    await output.write(renewed)
    for await (const piece of container.pieces(head.length)) {
      await output.write(piece)
      progress.add(piece.length)
    }
  }
  await output.commit()
  return { file, status: 'rewrapped', change }
}

function describe({ file, status, change }: FileResult): string {
  if (status === 'unchanged') return `${file}: unchanged, it has exactly these recipients`
  return `${file}: rewrapped, ${plural(change?.added.length ?? 0, 'recipient')} added, ${count(change?.dropped.length ?? 0)} dropped`
}

function toJson({ file, status, change, error }: FileResult) {
  return {
    file,
    status,
    added: change?.added ?? [],
    dropped: change?.dropped ?? [],
    error: error === undefined ? null : { code: error.code, message: error.message },
  }
}
