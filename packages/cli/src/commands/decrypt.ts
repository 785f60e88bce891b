import { Command } from '@commander-js/extra-typings'
import { decrypt, inspect, unwrapDataKey } from '@longhold/core'

import { aboutFile, readContainer } from '../shell/containers.ts'
import type { Container } from '../shell/containers.ts'
import { refused, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { contextOption, identityOption, collect, parseContext, resolveIdentities } from '../shell/keys.ts'
import type { NamedIdentity } from '../shell/keys.ts'
import { forceOption, outputOption, prepareOutput, sendOutput, wouldHitScreen } from '../shell/output.ts'
import type { Terminal } from '../shell/terminal.ts'

/** `longhold decrypt`: an envelope, or a record with its wrapped key, becomes the data that went in. */
export function decryptCommand(terminal: Terminal) {
  return new Command('decrypt')
    .summary('open an envelope, or a record with its wrapped key')
    .description(
      'Opens an envelope in binary or text form. Nothing is written before all of it has been checked. ' +
        'A record needs --wrapped-key, the file with the wrapped data key it was made under. ' +
        'The new file can be read by its owner only (mode 0600).',
    )
    .argument('[file]', 'what to open; standard input without it')
    .addOption(identityOption())
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
      const identities = await resolveIdentities(terminal, options)
      const container = await readContainer(terminal, file)
      const plaintext =
        options.wrappedKey === undefined
          ? await openEnvelope(container, identities, context)
          : await openRecord(container, identities, {
              context,
              keyContext,
              wrappedKey: await readContainer(terminal, options.wrappedKey),
            })
      if (wouldHitScreen(terminal, options) && !isPlainText(plaintext)) {
        throw usage('refusing to write binary data to a terminal', {
          hint: 'add --output FILE, or --output - to insist',
        })
      }
      await sendOutput(terminal, options, plaintext, 0o600)
      if (!terminal.json) return
      await terminal.answer({
        text: '',
        json: {
          output: options.output,
          key_id: inspect(container.bytes).keyId,
          plaintext_bytes: plaintext.length,
        },
      })
    })
}

async function openEnvelope(
  { name, bytes }: Container,
  named: readonly NamedIdentity[],
  context: Record<string, string>,
): Promise<Uint8Array> {
  const { kind } = await aboutFile(name, () => inspect(bytes))
  if (kind === 'wrapped key') {
    throw refused(`${name} is a wrapped data key, there is no data in it`, {
      hint: 'give the record it belongs to, and this file with --wrapped-key',
    })
  }
  if (kind === 'record') {
    throw refused(`${name} is a record: its data key is kept elsewhere`, {
      hint: 'give the file with its wrapped data key: --wrapped-key FILE',
    })
  }
  return await aboutFile(name, () =>
    decrypt(bytes, { identities: named.map(({ identity }) => identity), context }),
  )
}

interface RecordParts {
  readonly wrappedKey: Container
  readonly context: Record<string, string>
  readonly keyContext: Record<string, string>
}

async function openRecord(
  record: Container,
  named: readonly NamedIdentity[],
  { wrappedKey, context, keyContext }: RecordParts,
): Promise<Uint8Array> {
  const { kind } = await aboutFile(record.name, () => inspect(record.bytes))
  if (kind !== 'record') throw refused(`${record.name} is not a record`, { hint: 'leave --wrapped-key out' })
  const identities = named.map(({ identity }) => identity)
  const dataKey = await aboutFile(wrappedKey.name, () =>
    unwrapDataKey(wrappedKey.bytes, { identities, keyContext }),
  )
  try {
    return await aboutFile(record.name, () => dataKey.decrypt(record.bytes, { recordContext: context }))
  } finally {
    dataKey.wipe()
  }
}

/** UTF-8 without characters that could steer a terminal. */
function isPlainText(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    return !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/u.test(text)
  } catch {
    return false
  }
}
