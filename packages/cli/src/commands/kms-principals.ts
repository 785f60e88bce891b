import { Command } from '@commander-js/extra-typings'
import type { PrincipalInfo } from '@longhold/core/kms'

import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'

/** `longhold kms principals …`: who has grants. */
export function kmsPrincipalsCommand(terminal: Terminal) {
  return new Command('principals')
    .summary('list, create and switch off who has grants')
    .description(
      'Lists principals: applications and people that may have many tokens. What a token of theirs may do is what ' +
        'both it and their grants allow.',
    )
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(createCommand(terminal))
    .addCommand(switchCommand(terminal, 'disable'))
    .addCommand(switchCommand(terminal, 'enable'))
    .addHelpText('after', examples('longhold kms principals create billing --description "nightly invoices"'))
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists principals by name.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms principals'))
    .action(async (options) => {
      const client = await needKmsClient(terminal, options)
      const principals = await client.access.listPrincipals()
      await terminal.answer({ text: principalTable(principals), json: { principals } })
    })
}

function createCommand(terminal: Terminal) {
  return new Command('create')
    .description('Makes a principal, which may do nothing until it has a grant.')
    .argument('<name>', '1 to 64 of a-z 0-9 . _ -')
    .option('--description <text>', 'for people: what it is', '')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms principals create billing'))
    .action(async (name, options) => {
      const client = await needKmsClient(terminal, options)
      const principal = await client.access.createPrincipal(name, options.description)
      await terminal.answer({ text: principalTable([principal]), json: { ...principal } })
      if (!terminal.json)
        terminal.hint(`give it something to do: longhold kms grants create ${name} --permission unwrap`)
    })
}

function switchCommand(terminal: Terminal, name: 'disable' | 'enable') {
  const description = {
    disable: 'Switches a principal off: none of its tokens is accepted from now on.',
    enable: 'Switches a principal on again, with the tokens and grants it had.',
  }
  return new Command(name)
    .description(description[name])
    .argument('<name>', 'the principal')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples(`longhold kms principals ${name} billing`))
    .action(async (principal, options) => {
      const client = await needKmsClient(terminal, options)
      const now = await client.access.setDisabled(principal, name === 'disable')
      await terminal.answer({ text: principalTable([now]), json: { ...now } })
    })
}

function principalTable(principals: readonly PrincipalInfo[]): string {
  return table([
    ['NAME', 'STATE', 'CREATED', 'DESCRIPTION'],
    ...principals.map(({ principal, disabled_at: disabledAt, created_at: createdAt, description }) => [
      principal,
      disabledAt === null ? 'enabled' : `disabled ${disabledAt}`,
      createdAt,
      description,
    ]),
  ])
}
