import { Command, Option } from '@commander-js/extra-typings'
import { permissions } from '@longhold/core/kms'
import type { TokenInfo } from '@longhold/core/kms'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { collect } from '../shell/keys.ts'
import { writeOutput } from '../shell/output-file.ts'
import { outputFile, outputOption, wouldHitScreen } from '../shell/output.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'
import { toPermissions, toTime } from './kms-arguments.ts'

/** `longhold kms tokens …`: who may ask the key service for what. */
export function kmsTokensCommand(terminal: Terminal) {
  return new Command('tokens')
    .summary('list, create and revoke tokens of the key service')
    .description('Lists tokens; tokens create makes one for an application, tokens revoke ends one.')
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(createCommand(terminal))
    .addCommand(revokeCommand(terminal))
    .addHelpText(
      'after',
      examples('longhold kms tokens create web --permission unwrap --key default -o web.token'),
    )
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists tokens, and never their secret halves.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms tokens list'))
    .action(async (options) => {
      const client = await needKmsClient(terminal, options)
      const tokens = await client.listTokens()
      await terminal.answer({ text: tokenTable(tokens), json: { tokens } })
    })
}

function createCommand(terminal: Terminal) {
  return new Command('create')
    .description(
      'Makes a token that may do what --permission names, and nothing that follows from it. The token is shown ' +
        'this once: with --output it goes to a new file (mode 0600), which --kms-token-file reads.',
    )
    .argument('<name>', 'what is going to use it')
    .addOption(
      new Option(
        '-p, --permission <permission>',
        `what it may do (repeatable): all, or of ${permissions.join(', ')}`,
      )
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('-k, --key <key>', 'only with this key (repeatable); all keys without').argParser(collect),
    )
    .option(
      '--principal <name>',
      'whose token it is: it may do what both it and the grants of the principal allow',
    )
    .option('--expires <time>', 'when it ends, say 2027-01-31T00:00:00Z; never without')
    .addOption(outputOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold kms tokens create web --permission unwrap --permission wrap --key default -o web.token',
      ),
    )
    .action(async (name, options) => {
      const granted = toPermissions(options.permission ?? [])
      if (wouldHitScreen(terminal, options)) {
        throw usage('refusing to write a token to a terminal', {
          hint: 'add --output FILE, or --output - to insist',
        })
      }
      const client = await needKmsClient(terminal, options)
      const { token, ...info } = await client.createToken({
        name,
        permissions: granted,
        ...(options.principal === undefined ? {} : { principal: options.principal }),
        ...(options.key === undefined ? {} : { keys: options.key }),
        ...(options.expires === undefined ? {} : { expiresAt: toTime(options.expires) }),
      })
      const file = outputFile(options)
      if (file === undefined) return await terminal.answer({ text: token, json: { ...info, token } })
      await writeOutput(terminal, file, `${token}\n`, { mode: 0o600 })
      await terminal.answer({ text: tokenTable([info]), json: { ...info, output: file } })
    })
}

function revokeCommand(terminal: Terminal) {
  return new Command('revoke')
    .description(
      'Ends a token at once, and all that were made with it: whoever had it may have made some. The token that is used ' +
        'for this stays, and what it made. One that is only replaced is ended with --keep-descendants. The id is in the list, and in the token between its two underscores.',
    )
    .argument('<id>', 'the id of the token')
    .option('--keep-descendants', 'end only this one')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms tokens revoke 0123456789abcdef01234567'))
    .action(async (id, options) => {
      const client = await needKmsClient(terminal, options)
      const keepDescendants = options.keepDescendants === true
      const { descendants } = await client.revokeToken(id, { keepDescendants })
      const made = descendants.map((one) => `revoked  ${one}  made with it`)
      await terminal.answer({
        text: [`revoked  ${id}`, ...made].join('\n'),
        json: { revoked: id, descendants },
      })
      if (!terminal.json) terminal.hint(`what it was used for: longhold kms audit --token-id ${id}`)
    })
}

function tokenTable(tokens: readonly TokenInfo[]): string {
  return table([
    ['ID', 'NAME', 'PRINCIPAL', 'KEYS', 'EXPIRES', 'PERMISSIONS'],
    ...tokens.map((token) => [
      token.id,
      token.name,
      token.principal ?? '-',
      token.keys === null ? 'all' : token.keys.join(' '),
      token.revoked_at === null ? (token.expires_at ?? 'never') : 'revoked',
      token.permissions.length === permissions.length ? 'all' : token.permissions.join(' '),
    ]),
  ])
}
