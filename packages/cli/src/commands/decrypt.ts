import { Command } from '@commander-js/extra-typings'
import { keyIdOf, toHex } from '@longhold/core'

import { openContainer } from '../shell/containers.ts'
import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { contextOption, identityOption, collect, parseContext, resolveIdentities } from '../shell/keys.ts'
import {
  forceOption,
  openSink,
  outputFile,
  outputOption,
  pour,
  prepareOutput,
  wouldHitScreen,
} from '../shell/output.ts'
import type { OutputOptions } from '../shell/output.ts'
import { passphraseFileOption } from '../shell/passphrase.ts'
import type { Terminal } from '../shell/terminal.ts'
import { ByteProgress } from './byte-progress.ts'
import { openEnvelope, openRecord } from './opening.ts'
import type { Plaintext } from './opening.ts'
import { toStandardOutput } from './release.ts'

/** `longhold decrypt`: an envelope, or a record with its wrapped key, becomes the data that went in. */
export function decryptCommand(terminal: Terminal) {
  return new Command('decrypt')
    .summary('open an envelope, or a record with its wrapped key')
    .description(
      'Opens an envelope in binary or text form, of any size. A file appears when all of it has been checked, ' +
        'and standard output gets nothing before, except of a stream longer than 64 MiB, which comes in ' +
        'checked pieces; if it turns out to be cut off, the exit code is 1. ' +
        'A record needs --wrapped-key, the file with the wrapped data key it was made under. ' +
        'The new file can be read by its owner only (mode 0600).',
    )
    .argument('[file]', 'what to open; standard input without it')
    .addOption(identityOption())
    .addOption(passphraseFileOption())
    .addOption(contextOption())
    .option('--wrapped-key <file>', 'the wrapped data key of a record')
    .option('--key-context <key=value>', 'a pair bound to the wrapped key of a record (repeatable)', collect)
    .addOption(outputOption())
    .addOption(forceOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold decrypt --identity identity.txt --context tenant=acme -o report.pdf report.lh',
        'longhold decrypt --identity identity.txt < secret.txt.lh',
      ),
    )
    .action(async (file, options) => {
      const context = parseContext(options.context)
      const keyContext = parseContext(options.keyContext, '--key-context')
      if (options.wrappedKey === undefined && options.keyContext !== undefined) {
        throw usage('--key-context belongs to --wrapped-key', {
          hint: 'an envelope has one context: --context',
        })
      }
      await prepareOutput(terminal, options)
      const identities = (await resolveIdentities(terminal, options)).map(({ identity }) => identity)
      await using container = await openContainer(terminal, file)
      using plaintext =
        options.wrappedKey === undefined
          ? await openEnvelope(container, identities, context)
          : await openWithWrappedKey(options.wrappedKey)
      const plaintextBytes =
        outputFile(options) === undefined
          ? await toStandardOutput(terminal, plaintext, wouldHitScreen(terminal, options))
          : await toFile(terminal, plaintext, options)
      if (!terminal.json) return
      await terminal.answer({
        text: '',
        json: {
          output: options.output,
          key_id: toHex(keyIdOf(container.head)),
          plaintext_bytes: plaintextBytes,
        },
      })

      async function openWithWrappedKey(path: string): Promise<Plaintext> {
        await using wrappedKey = await openContainer(terminal, path)
        return await openRecord(container, identities, { wrappedKey, context, keyContext })
      }
    })
}

/** The file appears when all of it has been checked. */
async function toFile(terminal: Terminal, plaintext: Plaintext, options: OutputOptions): Promise<number> {
  using progress = new ByteProgress(terminal, plaintext.name, plaintext.size)
  await using sink = await openSink(terminal, options, 0o600)
  let written = 0
  await pour(plaintext.pieces(), sink, ({ length }) => {
    written += length
    progress.add(length)
  })
  return written
}
