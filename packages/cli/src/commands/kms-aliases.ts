import { Command } from '@commander-js/extra-typings'
import type { AliasInfo } from '@longhold/core/kms'

import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'

/** `longhold kms aliases …`: second names of keys, for writers. */
export function kmsAliasesCommand(terminal: Terminal) {
  return new Command('aliases')
    .summary('list, set and remove names by which writers find keys')
    .description('Lists aliases: second names of keys, for writers. What is wrapped knows the key alone.')
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(setCommand(terminal))
    .addCommand(removeCommand(terminal))
    .addHelpText('after', examples('longhold kms aliases set current archive-2027'))
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists the aliases of the keys that the token may see.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms aliases list'))
    .action(async (options) => {
      const aliases = await (await needKmsClient(terminal, options)).keys.aliases()
      await terminal.answer({ text: aliases.length === 0 ? '' : aliasTable(aliases), json: { aliases } })
    })
}

function setCommand(terminal: Terminal) {
  return new Command('set')
    .description(
      'Makes an alias, or points it at another key: who writes to it wraps for that key from then on.',
    )
    .argument('<alias>', 'the alias')
    .argument('<key>', 'the name of the key')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms aliases set current archive-2027'))
    .action(async (name, key, options) => {
      const alias = await (await needKmsClient(terminal, options)).keys.putAlias(name, key)
      await terminal.answer({ text: aliasTable([alias]), json: alias })
    })
}

function removeCommand(terminal: Terminal) {
  return new Command('remove')
    .description('Ends an alias. Nothing that was wrapped depends on it.')
    .argument('<alias>', 'the alias')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms aliases remove current'))
    .action(async (alias, options) => {
      await (await needKmsClient(terminal, options)).keys.removeAlias(alias)
      await terminal.answer({ text: '', json: { removed: alias } })
    })
}

function aliasTable(aliases: readonly AliasInfo[]): string {
  return table([
    ['ALIAS', 'KEY', 'CHANGED'],
    ...aliases.map(({ alias, key, changed_at }) => [alias, key, changed_at]),
  ])
}
