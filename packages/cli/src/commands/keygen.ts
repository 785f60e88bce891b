import { Command } from '@commander-js/extra-typings'
import { generateIdentity, toHex } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { readIdentities } from '../shell/keys.ts'
import { writeOutput } from '../shell/output-file.ts'
import { outputFile, outputOption, wouldHitScreen } from '../shell/output.ts'
import type { Terminal } from '../shell/terminal.ts'

/** `longhold keygen`: an identity, and the recipient that belongs to it. */
export function keygenCommand(terminal: Terminal) {
  return new Command('keygen')
    .summary('make an identity and print its recipient')
    .description(
      'Makes an identity, the secret that opens what is encrypted to its recipient. With --output the ' +
        'identity goes to a new file (mode 0600, never overwritten) and the recipient to standard output. ' +
        'Without it the identity goes to standard output, which must not be a terminal: a screen has a ' +
        'memory. --output - insists.',
    )
    .addOption(outputOption())
    .option('-y, --to-recipient <file>', 'print the recipients of the identities in this file instead')
    .addHelpText(
      'after',
      examples('longhold keygen -o identity.txt', 'longhold keygen --to-recipient identity.txt'),
    )
    .action(async (options) => {
      if (options.toRecipient !== undefined) return await printRecipients(terminal, options.toRecipient)
      if (wouldHitScreen(terminal, options)) {
        throw usage('refusing to write an identity to a terminal', {
          hint: 'longhold keygen -o identity.txt, or --output - to insist',
        })
      }
      using identity = generateIdentity()
      const recipient = identity.recipient.toString()
      const ids = { recipient, recipient_id: toHex(identity.recipientId) }
      const file = outputFile(options)
      if (file !== undefined) {
        await writeIdentity(terminal, file, identity)
        await terminal.answer({ text: recipient, json: { output: file, ...ids } })
      } else {
        await terminal.answer({
          text: identityText(identity).trimEnd(),
          json: { ...ids, identity: identity.exportText() },
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

async function printRecipients(terminal: Terminal, path: string): Promise<void> {
  const identities = await readIdentities(terminal, path)
  const recipients = identities.map(({ recipient }) => recipient.toString())
  for (const identity of identities) identity.wipe()
  await terminal.answer({ text: recipients.join('\n'), json: { recipients } })
}
