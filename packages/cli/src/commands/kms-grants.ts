import { Command, Option } from '@commander-js/extra-typings'
import { permissions } from '@longhold/core/kms'
import type { ContextCondition, CreateGrantRequest, GrantInfo } from '@longhold/core/kms'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { collect, parseContext } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'
import { toPermission, toTime } from './kms-arguments.ts'

/** `longhold kms grants …`: what principals may do. */
export function kmsGrantsCommand(terminal: Terminal) {
  return new Command('grants')
    .summary('list, create and delete what a principal may do')
    .description('Lists the grants of a principal; a denial among them wins over everything that is allowed.')
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(createCommand(terminal))
    .addCommand(deleteCommand(terminal))
    .addHelpText('after', examples('longhold kms grants create billing --permission unwrap --key invoices'))
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists the grants of a principal.')
    .argument('<principal>', 'whose')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms grants billing'))
    .action(async (principal, options) => {
      const client = await needKmsClient(terminal, options)
      const grants = await client.access.listGrants(principal)
      await terminal.answer({ text: grantTable(grants), json: { grants } })
    })
}

function createCommand(terminal: Terminal) {
  return new Command('create')
    .description(
      'Gives a principal a rule. All conditions must hold: key or label, context, time, network. Nobody hands on more ' +
        'than he holds.',
    )
    .argument('<principal>', 'who gets it')
    .addOption(
      new Option('-p, --permission <permission>', `what it is about (repeatable): ${permissions.join(', ')}`)
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .option('--deny', 'deny it, whatever else allows it')
    .addOption(new Option('-k, --key <key>', 'only with this key (repeatable)').argParser(collect))
    .addOption(
      new Option('-l, --label <name=value>', 'only with keys that have this label (repeatable)').argParser(
        collect,
      ),
    )
    .addOption(
      new Option('-c, --context <name=value>', 'only when the context has this pair (repeatable)').argParser(
        collect,
      ),
    )
    .option('--exact-context', 'the context must be those pairs and no others; without --context: empty')
    .addOption(
      new Option('--network <block>', 'only from these addresses, say 10.0.0.0/8 (repeatable)').argParser(
        collect,
      ),
    )
    .option('--not-before <time>', 'when it begins; at once without')
    .option('--expires <time>', 'when it ends, say 2027-01-31T00:00:00Z; never without')
    .option('--uses <count>', 'how many requests it allows; any number without')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold kms grants create billing --permission unwrap --key invoices --context tenant=acme',
        'longhold kms grants create billing --deny --permission unwrap --label class=secret',
      ),
    )
    .action(async (principal, options) => {
      const request: CreateGrantRequest = {
        principal,
        effect: options.deny === true ? 'deny' : 'allow',
        permissions: (options.permission ?? []).map(toPermission),
        keys: options.key,
        labels: options.label && parseContext(options.label, '--label'),
        context: contextCondition(options),
        networks: options.network,
        not_before: options.notBefore && toTime(options.notBefore),
        not_after: options.expires && toTime(options.expires),
        uses: options.uses === undefined ? undefined : toCount(options.uses),
      }
      const client = await needKmsClient(terminal, options)
      const grant = await client.access.createGrant(request)
      await terminal.answer({ text: grantTable([grant]), json: { ...grant } })
    })
}

function contextCondition({
  context,
  exactContext,
}: {
  context?: string[] | undefined
  exactContext?: true | undefined
}): ContextCondition | undefined {
  if (exactContext === true) return { match: 'equals', pairs: parseContext(context ?? []) }
  return context && { match: 'includes', pairs: parseContext(context) }
}

function toCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw usage(`--uses is a number from 1 on, not ${text}`)
  return Number(text)
}

function deleteCommand(terminal: Terminal) {
  return new Command('delete')
    .description('Takes a grant away; from the next request on it does not count.')
    .argument('<principal>', 'whose')
    .argument('<id>', 'the id of the grant, from the list')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms grants delete billing 0123456789abcdef01234567'))
    .action(async (principal, id, options) => {
      const client = await needKmsClient(terminal, options)
      await client.access.deleteGrant(principal, id)
      await terminal.answer({ text: '', json: { deleted: id } })
    })
}

function grantTable(grants: readonly GrantInfo[]): string {
  return table([
    ['ID', 'EFFECT', 'PERMISSIONS', 'WITH'],
    ...grants.map((grant) => [
      grant.id,
      grant.effect,
      grant.permissions.join(' '),
      conditions(grant).join('; ') || 'all keys',
    ]),
  ])
}

function conditions(grant: GrantInfo): string[] {
  const pairs = (of: Record<string, string>) => Object.entries(of).map(([name, value]) => `${name}=${value}`)
  const { context } = grant
  return [
    ...(grant.keys === null ? [] : [`key ${grant.keys.join(' ')}`]),
    ...(grant.labels === null ? [] : [`label ${pairs(grant.labels).join(' ')}`]),
    ...(context === null
      ? []
      : [
          `${context.match === 'equals' ? 'context exactly' : 'context'} ${pairs(context.pairs).join(' ') || 'empty'}`,
        ]),
    ...(grant.networks === null ? [] : [`from ${grant.networks.join(' ')}`]),
    ...(grant.not_before === null ? [] : [`not before ${grant.not_before}`]),
    ...(grant.not_after === null ? [] : [`until ${grant.not_after}`]),
    ...(grant.uses_left === null ? [] : [`${grant.uses_left} more times`]),
  ]
}
