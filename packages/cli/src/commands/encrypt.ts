import { Command } from '@commander-js/extra-typings'
import { encrypt, inspect, toText } from '@longhold/core'

import { plaintextLimit } from '../shell/containers.ts'
import { usage } from '../shell/errors.ts'
import { readInput } from '../shell/files.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import {
  contextOption,
  parseContext,
  recipientOption,
  recipientsFileOption,
  resolveRecipients,
} from '../shell/keys.ts'
import { forceOption, outputOption, prepareOutput, sendOutput, wouldHitScreen } from '../shell/output.ts'
import type { Terminal } from '../shell/terminal.ts'

/** `longhold encrypt`: a file or standard input becomes one envelope. */
export function encryptCommand(terminal: Terminal) {
  return new Command('encrypt')
    .summary('encrypt a file or standard input into an envelope')
    .description(
      'Encrypts a file, or standard input, into an envelope that every recipient can open, up to 64 MiB. ' +
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
      const plaintext = await readInput(terminal, file, plaintextLimit)
      const envelope = await encrypt(plaintext, { recipients, context })
      await sendOutput(terminal, options, options.text ? `${toText(envelope)}\n` : envelope, 0o666)
      if (!terminal.json) return
      await terminal.answer({
        text: '',
        json: {
          output: options.output,
          key_id: inspect(envelope).keyId,
          recipients: recipients.length,
          plaintext_bytes: plaintext.length,
          envelope_bytes: envelope.length,
        },
      })
    })
}
