import { Command } from '@commander-js/extra-typings'
import { LongholdError } from '@longhold/core'
import type { KeyInfo } from '@longhold/core/kms'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import type { Terminal } from '../shell/terminal.ts'
import { table } from '../shell/text.ts'

/** `longhold kms keys list`, which is what `longhold kms keys` does. */
export function kmsListCommand(terminal: Terminal) {
  return new Command('list')
    .description('Lists the keys that the token may see.')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms keys list'))
    .action(async (options) => {
      const client = await needKmsClient(terminal, options)
      const keys = await client.listKeys()
      if (keys.length === 0) terminal.note('no keys; longhold kms keys create NAME makes one')
      await terminal.answer({ text: keys.length === 0 ? '' : keyTable(keys), json: { keys } })
    })
}

/** `longhold kms keys create NAME`. */
export function kmsCreateCommand(terminal: Terminal) {
  return new Command('create')
    .description('Makes a key with its first version.')
    .argument('<name>', 'the name of the new key')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms keys create archive'))
    .action(async (name, options) => {
      const client = await needKmsClient(terminal, options)
      const key = await client.createKey({ key: name })
      await terminal.answer({ text: keyTable([key]), json: key })
      if (!terminal.json) terminal.hint(`encrypt to it: --recipient kms:${key.key}`)
    })
}

/** `longhold kms rotate KEY`. */
export function kmsRotateCommand(terminal: Terminal) {
  return new Command('rotate')
    .summary('add a version to a key and make it primary')
    .description(
      'Adds a version to a key and makes it primary: what is wrapped from now on is wrapped to it. Older ' +
        'versions go on unwrapping. longhold rewrap moves wrapped keys to the new version.',
    )
    .argument('<key>', 'the name of the key')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms rotate default'))
    .action(async (name, options) => {
      const client = await needKmsClient(terminal, options)
      try {
        const key = await client.rotateKey(name)
        await terminal.answer({ text: keyTable([key]), json: key })
      } catch (error) {
        if (!(error instanceof LongholdError) || error.code !== 'bad_input') throw error
        throw usage(`the key service at ${client.url} has no key ${name}, or not for this token`, {
          hint: 'longhold kms keys lists those it has',
          cause: error,
        })
      }
      if (!terminal.json) terminal.hint('move wrapped keys to the new version: longhold rewrap --help')
    })
}

function keyTable(keys: readonly KeyInfo[]): string {
  return table([
    ['KEY', 'PRIMARY', 'VERSIONS', 'SUITE', 'CREATED', 'ROTATED'],
    ...keys.map((key) => [
      key.key,
      String(key.primary_version),
      String(key.version_count),
      key.suite,
      key.created_at,
      key.rotated_at ?? 'never',
    ]),
  ])
}
