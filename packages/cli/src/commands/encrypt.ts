import { Command } from '@commander-js/extra-typings'
import { encrypt, encryptStream, keyIdOf, toHex, toText } from '@longhold/core'
import type { ByteTransform, EncryptOptions } from '@longhold/core'

import { heldBytes } from '../shell/containers.ts'
import { usage } from '../shell/errors.ts'
import { readInput } from '../shell/files.ts'
import { examples } from '../shell/help.ts'
import { openInput } from '../shell/input.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import {
  contextOption,
  parseContext,
  recipientOption,
  recipientsFileOption,
  resolveRecipients,
} from '../shell/keys.ts'
import {
  forceOption,
  openSink,
  outputOption,
  pour,
  prepareOutput,
  sendOutput,
  wouldHitScreen,
} from '../shell/output.ts'
import type { OutputOptions } from '../shell/output.ts'
import { suitesOf } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import { ByteProgress } from './byte-progress.ts'
import { through, watch } from './opening.ts'

const textLimit = {
  maxBytes: heldBytes,
  reason: 'the text form takes at most 67,108,864 (64 MiB); without --text there is no limit',
}

/** `longhold encrypt`: a file or standard input becomes one envelope. */
export function encryptCommand(terminal: Terminal) {
  return new Command('encrypt')
    .summary('encrypt a file or standard input into an envelope')
    .description(
      'Encrypts a file, or standard input, into an envelope that every recipient can open, of any size. ' +
        'Needs no secret: recipients are public, and the key service is asked for its public key only.',
    )
    .argument('[file]', 'what to encrypt; standard input without it')
    .addOption(recipientOption())
    .addOption(recipientsFileOption())
    .addOption(contextOption())
    .addOption(outputOption())
    .addOption(forceOption())
    .option('--text', 'write the text form: one line of base64url')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold encrypt --recipient kms:default --context tenant=acme -o report.lh report.pdf',
        'printf secret | longhold encrypt --recipients-file team.txt --text',
      ),
    )
    .action(async (file, options) => {
      const context = parseContext(options.context)
      await prepareOutput(terminal, options)
      if (options.text === undefined && wouldHitScreen(terminal, options)) {
        throw usage('refusing to write binary data to a terminal', {
          hint: 'add --output FILE, or --text for the text form, or --output - to insist',
        })
      }
      const recipients = await resolveRecipients(terminal, options)
      const how = { recipients, context, suites: await suitesOf(recipients) }
      const written =
        options.text === undefined
          ? await encryptPieces(terminal, file, options, encryptStream(how))
          : await encryptText(terminal, file, options, how)
      if (!terminal.json) return
      await terminal.answer({
        text: '',
        json: {
          output: options.output,
          key_id: toHex(keyIdOf(written.head)),
          recipients: recipients.length,
          plaintext_bytes: written.plaintextBytes,
          envelope_bytes: written.envelopeBytes,
        },
      })
    })
}

interface Written {
  /** As much of the envelope as has its key id. */
  readonly head: Uint8Array
  readonly plaintextBytes: number
  readonly envelopeBytes: number
}

async function encryptPieces(
  terminal: Terminal,
  file: string | undefined,
  options: OutputOptions,
  transform: ByteTransform,
): Promise<Written> {
  await using input = await openInput(terminal, file)
  using progress = new ByteProgress(terminal, input.name, input.size)
  await using sink = await openSink(terminal, options, 0o666)
  let head: Uint8Array = new Uint8Array()
  let plaintextBytes = 0
  let envelopeBytes = 0
  const counted = watch(input.pieces(), (piece) => {
    plaintextBytes += piece.length
    progress.add(piece.length)
  })
  await pour(through(counted, transform), sink, (piece) => {
    if (envelopeBytes === 0) head = new Uint8Array(piece)
    envelopeBytes += piece.length
  })
  return { head, plaintextBytes, envelopeBytes }
}

/** One line of base64url, which is for pasting: made in memory. */
async function encryptText(
  terminal: Terminal,
  file: string | undefined,
  options: OutputOptions,
  how: EncryptOptions,
): Promise<Written> {
  const plaintext = await readInput(terminal, file, textLimit)
  const envelope = await encrypt(plaintext, how)
  await sendOutput(terminal, options, `${toText(envelope)}\n`, 0o666)
  return { head: envelope, plaintextBytes: plaintext.length, envelopeBytes: envelope.length }
}
