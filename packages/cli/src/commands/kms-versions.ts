import { Command } from '@commander-js/extra-typings'
import { LongholdError } from '@longhold/core'
import type { KmsClient, SettableState, VersionInfo } from '@longhold/core/kms'

import { refused, usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'
import { keyTable, toVersion } from './kms-keys.ts'

/** `longhold kms rotate KEY`. */
export function kmsRotateCommand(terminal: Terminal) {
  return new Command('rotate')
    .summary('add a version to a key and make it primary')
    .description(
      'Adds a version to a key and makes it primary: what is wrapped from now on is wrapped to it. Older ' +
        'versions go on unwrapping. longhold rewrap moves wrapped keys to the new version.',
    )
    .argument('<key>', 'the name of the key')
    .option('--pending', 'only make it; longhold kms versions activate publishes it, say after a backup')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms rotate default', 'longhold kms rotate default --pending'))
    .action(async (name, options) => {
      const client = await needKmsClient(terminal, options)
      try {
        const key = await client.keys.rotate(name, options.pending === true ? 'pending' : 'now')
        await terminal.answer({ text: keyTable([key]), json: key })
      } catch (error) {
        if (!(error instanceof LongholdError) || error.code !== 'bad_input') throw error
        const { message, hint = 'longhold kms keys lists those the token may see' } = error
        throw usage(message, { hint, cause: error })
      }
      if (terminal.json) return
      if (options.pending === true) terminal.hint(`publish it: longhold kms versions activate ${name} N`)
      else terminal.hint('move wrapped keys to the new version: longhold rewrap --help')
    })
}

/** `longhold kms versions …`: the life of each version of a key. */
export function kmsVersionsCommand(terminal: Terminal) {
  return new Command('versions')
    .summary('list the versions of a key, switch them off, destroy them')
    .description('Lists the versions of a key, and moves one from state to state.')
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(stateCommand(terminal, 'activate', 'primary', 'Makes a version the one that is wrapped to.'))
    .addCommand(
      stateCommand(terminal, 'disable', 'disabled', 'Stops a version unwrapping, until it is enabled.'),
    )
    .addCommand(stateCommand(terminal, 'enable', 'unwrap_only', 'Lets a version unwrap again.'))
    .addCommand(
      stateCommand(
        terminal,
        'compromise',
        'compromised',
        'Marks a version as known to others, for ever: it unwraps only with the permission unwrap.compromised, and ' +
          'can be rewrapped from. If it is the primary, a new one takes its place at once.',
      ),
    )
    .addCommand(checkCommand(terminal))
    .addCommand(destroyCommand(terminal))
    .addCommand(restoreCommand(terminal))
    .addHelpText(
      'after',
      examples('longhold kms versions list archive', 'longhold kms versions check archive 1'),
    )
}

function listCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists the versions of a key.')
    .argument('<key>', 'the name of the key')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms versions list archive'))
    .action(async (key, options) => {
      const client = await needKmsClient(terminal, options)
      const versions = await client.listVersions(key)
      await terminal.answer({ text: versionTable(versions), json: { key, versions } })
    })
}

function stateCommand(terminal: Terminal, name: string, state: SettableState, description: string) {
  return versionCommand(name, description).action(async (key, number, options) => {
    const client = await needKmsClient(terminal, options)
    const version = await client.keys.setVersionState(key, number, state)
    await terminal.answer({ text: versionTable([version]), json: version })
    if (state === 'compromised' && !terminal.json) {
      terminal.hint(
        'move what is wrapped for it: longhold rewrap --help; whoever must read meanwhile needs unwrap.compromised',
      )
    }
  })
}

function checkCommand(terminal: Terminal) {
  const description =
    'Says whether a version can be destroyed without losing data, and why: uses, what stores counted, exports, backups. ' +
    'Exit code 0 when it is safe, 1 when it is not or not known.'
  return versionCommand('check', description).action(async (key, number, options) => {
    const client = await needKmsClient(terminal, options)
    const check = await client.keys.destroyCheck(key, number)
    const reasons = check.reasons.map(({ code, speaks_for, detail }) => [speaks_for, code, detail])
    await terminal.answer({ text: table([[check.verdict], ...reasons]), json: check })
    if (check.verdict !== 'safe') throw refused(verdictText(key, number, check.verdict))
  })
}

function destroyCommand(terminal: Terminal) {
  const description =
    'Begins the waiting period at whose end the private key of a version is overwritten. Data keys that are only wrapped ' +
    'for it are lost then, and all that they encrypt. Refused unless versions check says safe, or with --despite-check.'
  return versionCommand('destroy', description)
    .option('--despite-check', 'whatever versions check says')
    .action(async (key, number, options) => {
      const client = await needKmsClient(terminal, options)
      const { generation } = await client.getKey(key)
      if (options.despiteCheck !== true) await requireSafe(client, key, number)
      const answer = await client.keys.destroyVersion(key, number, generation)
      const { backups } = answer
      const text = [
        versionTable([answer]),
        ...backups.map(
          (one) =>
            `backup ${one.backup} of ${one.taken_at} holds it until ${one.expires_at ?? 'it is deleted'}`,
        ),
      ].join('\n')
      await terminal.answer({ text, json: answer })
      if (!terminal.json) terminal.hint(`call it off: longhold kms versions restore ${key} ${number}`)
    })
}

function restoreCommand(terminal: Terminal) {
  const description = 'Calls a destruction off, as long as it waits. The version is disabled then.'
  return versionCommand('restore', description).action(async (key, number, options) => {
    const client = await needKmsClient(terminal, options)
    const version = await client.keys.restoreVersion(key, number)
    await terminal.answer({ text: versionTable([version]), json: version })
  })
}

function versionCommand(name: string, description: string) {
  return new Command(name)
    .description(description)
    .argument('<key>', 'the name of the key')
    .argument('<version>', 'the number of the version', toVersion)
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples(`longhold kms versions ${name} archive 1`))
}

async function requireSafe(client: KmsClient, key: string, version: number): Promise<void> {
  const { verdict, reasons } = await client.keys.destroyCheck(key, version)
  if (verdict === 'safe') return
  const why = reasons.filter(({ speaks_for }) => speaks_for !== 'safe').map(({ detail }) => detail)
  throw refused(`${verdictText(key, version, verdict)}: ${why.join('; ')}`, {
    hint: 'see to that, or insist with --despite-check',
  })
}

function verdictText(key: string, version: number, verdict: 'unsafe' | 'unknown'): string {
  return verdict === 'unsafe'
    ? `destroying version ${version} of ${key} would lose data`
    : `it is not known whether destroying version ${version} of ${key} would lose data`
}

function versionTable(versions: readonly VersionInfo[]): string {
  return table([
    ['VERSION', 'STATE', 'CREATED', 'CHANGED', 'DESTROYED'],
    ...versions.map((one) => [
      String(one.version),
      one.state,
      one.created_at,
      one.state_changed_at,
      one.destroy_at ?? '',
    ]),
  ])
}
