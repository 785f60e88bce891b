import { Command, Option } from '@commander-js/extra-typings'
import { generateIdentity, toHex } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { parseIdentities, readIdentities, readIdentityText } from '../shell/identity-files.ts'
import { writeOutput } from '../shell/output-file.ts'
import { outputFile, outputOption, wouldHitScreen } from '../shell/output.ts'
import type { OutputOptions } from '../shell/output.ts'
import { newPassphrase } from '../shell/passphrase.ts'
import { protect } from '../shell/protected-text.ts'
import { suiteNamed, suiteNames } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'

/** `longhold keygen`: an identity, and the recipient that belongs to it. */
export function keygenCommand(terminal: Terminal) {
  return new Command('keygen')
    .summary('make an identity and print its recipient')
    .description(
      'Makes an identity, the secret that opens what is encrypted to its recipient. With --output the ' +
        'identity goes to a new file (mode 0600, never overwritten) and the recipient to standard output. ' +
        'Without it the identity goes to standard output, which must not be a terminal: a screen has a ' +
        'memory. --output - insists.\n\n' +
        'With --passphrase the identity is written encrypted, and whoever uses it is asked for the passphrase.',
    )
    .addOption(outputOption())
    .addOption(new Option('--suite <name>', 'the kind of key').choices(suiteNames).default(suiteNames[0]))
    .addOption(new Option('-p, --passphrase', 'protect it with a passphrase, asked for on the terminal'))
    .addOption(
      new Option(
        '--passphrase-file <file>',
        'the same with the passphrase in this file; with --to-recipient the passphrase of what is read',
      ).conflicts('passphrase'),
    )
    .addOption(
      new Option(
        '--protect <file>',
        'protect the identities in this file instead of making one; the file stays as it is',
      ).conflicts('suite'),
    )
    .addOption(
      new Option(
        '-y, --to-recipient <file>',
        'print the recipients of the identities in this file instead',
      ).conflicts(['passphrase', 'protect', 'suite']),
    )
    .addHelpText(
      'after',
      examples(
        'longhold keygen -o identity.txt',
        'longhold keygen --passphrase -o identity.txt',
        'longhold keygen --to-recipient identity.txt',
        'longhold keygen --protect identity.txt -o identity.protected.txt',
      ),
    )
    .action(async (options) => {
      const { toRecipient, suite, passphraseFile } = options
      if (toRecipient !== undefined) {
        return await printRecipients(
          terminal,
          await readIdentities(terminal, toRecipient, { passphraseFile }),
        )
      }
      if (options.protect !== undefined) return await protectFile(terminal, options.protect, options)
      const isProtected = options.passphrase === true || passphraseFile !== undefined
      if (!isProtected && wouldHitScreen(terminal, options)) {
        throw usage('refusing to write an identity to a terminal', {
          hint: 'longhold keygen -o identity.txt, or --output - to insist',
        })
      }
      const passphrase = isProtected ? await newPassphrase(terminal, options) : undefined
      using identity = generateIdentity({ suite: await suiteNamed(suite) })
      const plain = identityText(identity)
      const text = passphrase === undefined ? plain : await protect(plain, passphrase)
      const recipient = identity.recipient.toString()
      const ids = { recipient, recipient_id: toHex(identity.recipientId), protected: isProtected }
      const file = outputFile(options)
      if (file !== undefined) {
        await writeOutput(terminal, file, text, { mode: 0o600 })
        await terminal.answer({ text: recipient, json: { output: file, ...ids } })
      } else {
        await terminal.answer({
          text: text.trimEnd(),
          json: { ...ids, identity: isProtected ? text : identity.exportText() },
        })
        terminal.note(`recipient: ${recipient}`)
      }
    })
}

/** Writes an identity to a new file of mode 0600. An existing file is never replaced. */
export async function writeIdentity(
  terminal: Terminal,
  path: string,
  identity: LocalIdentity,
): Promise<void> {
  await writeOutput(terminal, path, identityText(identity), { mode: 0o600 })
}

function identityText(identity: LocalIdentity): string {
  const created = new Date().toISOString().replace(/\.\d+Z$/u, 'Z')
  return `# created: ${created}\n# recipient: ${identity.recipient.toString()}\n${identity.exportText()}\n`
}

interface ProtectOptions extends OutputOptions {
  readonly passphraseFile?: string | undefined
}

/** A protected copy. Of a file that is protected already it has another passphrase. */
async function protectFile(terminal: Terminal, path: string, options: ProtectOptions): Promise<void> {
  const plain = await readIdentityText(terminal, path)
  const identities = await parseIdentities(plain, path)
  const text = await protect(plain, await newPassphrase(terminal, options))
  const file = outputFile(options)
  if (file === undefined) {
    await terminal.answer({ text: text.trimEnd(), json: { protected: true, identity: text } })
    for (const identity of identities) identity.wipe()
    return
  }
  await writeOutput(terminal, file, text, { mode: 0o600 })
  await printRecipients(terminal, identities, { output: file, protected: true })
  terminal.hint(`${path} is as it was: remove it once ${file} has proven to open`)
}

async function printRecipients(
  terminal: Terminal,
  identities: readonly LocalIdentity[],
  more: Record<string, unknown> = {},
): Promise<void> {
  const recipients = identities.map(({ recipient }) => recipient.toString())
  for (const identity of identities) identity.wipe()
  await terminal.answer({ text: recipients.join('\n'), json: { ...more, recipients } })
}
