import { Command, Option } from '@commander-js/extra-typings'
import type { KeyInfo, UpdateKeyRequest } from '@longhold/core/kms'

import { spanText, toSeconds } from '../shell/durations.ts'
import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { collect } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, table } from '../shell/text.ts'
import { kmsExportCommand, kmsImportCommand } from './kms-key-packages.ts'

/** `longhold kms keys …`: keys themselves; `longhold kms versions` is about their versions. */
export function kmsKeysCommand(terminal: Terminal) {
  return new Command('keys')
    .summary('list, create and edit the keys of the key service')
    .description('Lists keys; keys create makes one, keys show and keys update are about one.')
    .addCommand(listCommand(terminal), { isDefault: true })
    .addCommand(createCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(updateCommand(terminal))
    .addCommand(usageCommand(terminal))
    .addCommand(kmsExportCommand(terminal))
    .addCommand(kmsImportCommand(terminal))
    .addHelpText('after', examples('longhold kms keys', 'longhold kms keys create archive'))
}

function listCommand(terminal: Terminal) {
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

function createCommand(terminal: Terminal) {
  return withSettings(new Command('create'))
    .description('Makes a key with its first version.')
    .argument('<name>', 'the name of the new key')
    .addOption(
      new Option('--purpose <purpose>', 'wrap data keys, or decapsulate for other users of HPKE; for ever')
        .choices(['wrap', 'raw-kem'] as const)
        .default('wrap' as const),
    )
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples('longhold kms keys create archive', 'longhold kms keys create archive --rotate-every 90d'),
    )
    .action(async (name, { purpose, ...options }) => {
      const client = await needKmsClient(terminal, options)
      const { rewrap_to: rewrapTo = [], ...settings } = settingsOf(options)
      const key = await client.createKey({ key: name, purpose, rewrapTo, settings })
      await terminal.answer({ text: keyTable([key]), json: key })
      if (!terminal.json && purpose === 'wrap') terminal.hint(`encrypt to it: --recipient kms:${key.key}`)
    })
}

function showCommand(terminal: Terminal) {
  return new Command('show')
    .description('Shows everything that is said of a key.')
    .argument('<key>', 'the name of the key')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms keys show archive'))
    .action(async (name, options) => {
      const key = await (await needKmsClient(terminal, options)).getKey(name)
      await terminal.answer({ text: keyText(key), json: key })
    })
}

function updateCommand(terminal: Terminal) {
  return withSettings(new Command('update'))
    .summary('change what is said of a key')
    .description(
      'Changes what is said of a key; what is not named stays. Labels are given whole: those that are not named go, ' +
        'and changing them takes the permission keys.label too. What loosens the protection of the key (more of ' +
        '--rewrap-to, --exportable, --not-issued-only, a lower --min-unwrap-version, a shorter --destroy-after, --enable) takes ' +
        'keys.policy.',
    )
    .argument('<key>', 'the name of the key')
    .addOption(new Option('--min-unwrap-version <n>', 'versions below it do not unwrap').argParser(toVersion))
    .option('--no-labels', 'take all labels away')
    .option('--not-exportable', 'allow no export')
    .option('--not-issued-only', 'unwrap data keys that others made, too')
    .option('--no-rotation', 'rotate by hand only')
    .option('--enable', 'let it be used again')
    .option('--disable', 'stop every use of it')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold kms keys update archive --rotate-every 90d',
        'longhold kms keys update archive --disable',
      ),
    )
    .action(async (name, options) => {
      if (options.enable === true && options.disable === true) throw usage('--enable or --disable, not both')
      const changes: UpdateKeyRequest = {
        ...settingsOf(options),
        ...(options.minUnwrapVersion === undefined ? {} : { min_unwrap_version: options.minUnwrapVersion }),
        ...(options.labels ? {} : { labels: {} }),
        ...(options.notExportable === true ? { exportable: false } : {}),
        ...(options.notIssuedOnly === true ? { issued_only: false } : {}),
        ...(options.rotation ? {} : { rotate_every_seconds: null }),
        ...(options.enable === true ? { enabled: true } : {}),
        ...(options.disable === true ? { enabled: false } : {}),
      }
      if (Object.keys(changes).length === 0) {
        throw usage('nothing is to be changed', { hint: 'longhold kms keys update --help lists what can be' })
      }
      const client = await needKmsClient(terminal, options)
      const { generation } = await client.getKey(name)
      const key = await client.keys.update(name, generation, changes)
      await terminal.answer({ text: keyText(key), json: key })
    })
}

function usageCommand(terminal: Terminal) {
  return new Command('usage')
    .description('Shows how often each version of a key was used: unwraps, rewraps from it, decapsulations.')
    .argument('<key>', 'the name of the key')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms keys usage archive'))
    .action(async (name, options) => {
      const versions = await (await needKmsClient(terminal, options)).keys.usage(name)
      const text = table([
        ['VERSION', '30 DAYS', '90 DAYS', 'ALL', 'LAST USED'],
        ...versions.map((one) => [
          String(one.version),
          count(one.uses_30_days),
          count(one.uses_90_days),
          count(one.uses),
          one.last_used_at ?? 'never',
        ]),
      ])
      await terminal.answer({ text, json: { key: name, versions } })
    })
}

/** What can be said when a key is made and later. */
function withSettings(command: Command) {
  return command
    .addOption(new Option('--label <name=value>', 'a label (repeatable)').argParser(collect))
    .addOption(
      new Option('--rewrap-to <key>', 'a key that a rewrap may move to (repeatable)').argParser(collect),
    )
    .addOption(new Option('--rotate-every <span>', 'rotate by itself, say 90d').argParser(toSeconds))
    .addOption(new Option('--destroy-after <span>', 'how long a destruction waits').argParser(toSeconds))
    .option('--exportable', 'allow its private keys to be exported')
    .option('--issued-only', 'unwrap only data keys that the service made')
}

interface Settings {
  readonly label?: string[] | undefined
  readonly rewrapTo?: string[] | undefined
  readonly rotateEvery?: number | undefined
  readonly destroyAfter?: number | undefined
  readonly exportable?: true | undefined
  readonly issuedOnly?: true | undefined
}

function settingsOf({ label, rewrapTo, rotateEvery, destroyAfter, exportable, issuedOnly }: Settings) {
  return {
    ...(label === undefined ? {} : { labels: Object.fromEntries(label.map(toLabel)) }),
    ...(rewrapTo === undefined ? {} : { rewrap_to: rewrapTo }),
    ...(rotateEvery === undefined ? {} : { rotate_every_seconds: rotateEvery }),
    ...(destroyAfter === undefined ? {} : { destroy_after_seconds: destroyAfter }),
    ...(exportable === undefined ? {} : { exportable }),
    ...(issuedOnly === undefined ? {} : { issued_only: issuedOnly }),
  }
}

function toLabel(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw usage(`not a label: ${text}`, { hint: 'say, --label team=billing' })
  return [text.slice(0, at), text.slice(at + 1)]
}

/** A version as it is written on a command line. */
export function toVersion(text: string): number {
  if (/^[1-9]\d{0,8}$/u.test(text)) return Number(text)
  throw usage(`not a version: ${text}`, { hint: 'versions are numbered 1, 2, 3, …' })
}

/** Keys one under the other. */
export function keyTable(keys: readonly KeyInfo[]): string {
  return table([
    ['KEY', 'PRIMARY', 'VERSIONS', 'SUITE', 'CREATED', 'ROTATED'],
    ...keys.map((key) => [
      key.key,
      key.enabled ? String(key.primary_version) : 'not enabled',
      String(key.version_count),
      key.suite,
      key.created_at,
      key.rotated_at ?? 'never',
    ]),
  ])
}

function keyText(key: KeyInfo): string {
  const labels = Object.entries(key.labels).map(([name, value]) => `${name}=${value}`)
  return table([
    ['key', key.key],
    ['purpose', key.purpose],
    ['suite', key.suite],
    ['enabled', key.enabled ? 'yes' : 'no'],
    ['primary', String(key.primary_version)],
    ['versions', String(key.version_count)],
    ['unwraps from version', String(key.min_unwrap_version)],
    ['generation', String(key.generation)],
    ['labels', labels.join(' ') || 'none'],
    ['rewrap to', key.rewrap_to.join(' ') || 'itself alone'],
    ['rotates', rotationText(key)],
    ['destruction waits', spanText(key.destroy_after_seconds)],
    ['exportable', key.exportable ? 'yes' : 'no'],
    ['exported', key.exported_at ?? 'never'],
    ['imported', key.imported ? 'yes: its private keys may be elsewhere too' : 'no'],
    ['issued data keys only', key.issued_only ? 'yes' : 'no'],
    ['created', key.created_at],
    ['rotated', key.rotated_at ?? 'never'],
  ])
}

function rotationText({ rotation }: KeyInfo): string {
  if (rotation === null) return 'by hand'
  return `every ${spanText(rotation.every_seconds)}, next ${rotation.next_at}`
}
