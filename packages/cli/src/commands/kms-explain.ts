import { Command, Option } from '@commander-js/extra-typings'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { collect, parseContext } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import { toPermission, toTime } from './kms-arguments.ts'

/** `longhold kms explain …`: why something is allowed, or not. */
export function kmsExplainCommand(terminal: Terminal) {
  return new Command('explain')
    .summary('say what a principal or token may do, and why')
    .description('Asks what would be decided, and by which grants. Nothing is changed or counted.')
    .argument('<permission>', 'what it wants to do')
    .option('--principal <name>', 'who wants to')
    .option('--token-id <id>', 'or with which token: what both it and its principal allow')
    .option('-k, --key <key>', 'with which key')
    .addOption(new Option('-c, --context <name=value>', 'in which context (repeatable)').argParser(collect))
    .option('--address <address>', 'from where')
    .option('--at <time>', 'when; now without')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples('longhold kms explain unwrap --principal billing --key invoices --context tenant=acme'),
    )
    .action(async (permission, options) => {
      if ((options.principal === undefined) === (options.tokenId === undefined)) {
        throw usage('a question names either --principal or --token-id')
      }
      const client = await needKmsClient(terminal, options)
      const answer = await client.access.explain({
        principal: options.principal,
        token: options.tokenId,
        permission: toPermission(permission),
        key: options.key,
        context: options.context && parseContext(options.context),
        address: options.address,
        at: options.at && toTime(options.at),
      })
      await terminal.answer({ text: sentence(answer), json: { ...answer } })
    })
}

function sentence({ allowed, by, visible }: { allowed: boolean; by: string[]; visible: boolean }): string {
  if (allowed) return `allowed by ${by.join(' and ')}`
  if (!visible) return 'denied: the key is not there for it'
  return by.length > 0 ? `denied by ${by.join(' and ')}` : 'denied: no rule allows it'
}
