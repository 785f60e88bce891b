import { Command, Option } from '@commander-js/extra-typings'
import { fromText, LongholdError } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'

import { refused, usage } from '../shell/errors.ts'
import { readInput } from '../shell/files.ts'
import { examples } from '../shell/help.ts'
import { readIdentities } from '../shell/identity-files.ts'
import { keyServiceRecipient, kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { writeOutput } from '../shell/output-file.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural, table } from '../shell/text.ts'

const packageLimit = { maxBytes: 1024 * 1024, reason: 'that is too long to be a package of a key' }

/** `longhold kms keys export KEY`. */
export function kmsExportCommand(terminal: Terminal) {
  return new Command('export')
    .summary('write the private keys of a key, sealed for somebody')
    .description(
      'Writes the private keys of a key to a new file, sealed for a recipient. The key has to be exportable, and says ' +
        'for ever that it was exported.',
    )
    .argument('<key>', 'the name of the key')
    .requiredOption('-r, --recipient <recipient>', 'who can open the package: lhrecipient1-…')
    .requiredOption('-o, --output <file>', 'where the package goes')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms keys export archive -r lhrecipient1-… -o archive.lhx'))
    .action(async (key, options) => {
      const client = await needKmsClient(terminal, options)
      const exported = await client.keys.exportKey(key, options.recipient)
      const { package: text, ...about } = exported
      await writeOutput(terminal, options.output, fromText(text), { mode: 0o600 })
      await terminal.answer({
        text: `${plural(about.versions.length, 'version')} of ${key} in ${options.output}`,
        json: { ...about, output: options.output },
      })
    })
}

/** `longhold kms keys import NAME`. */
export function kmsImportCommand(terminal: Terminal) {
  return new Command('import')
    .summary('make a key of private keys from elsewhere')
    .description(
      'Makes a key from a package that is sealed for a key of this service, or of an identity file: then the package is ' +
        'made here, sealed for the key that --for names. The key says for ever that it was imported.',
    )
    .argument('<name>', 'the name of the new key')
    .option('--package <file>', 'what keys export wrote')
    .option('--packaged-as <name>', 'the name of the key in the package; NAME without')
    .option('-i, --identity <file>', 'an identity, as keygen wrote it')
    .option('--for <key>', 'the key of this service that the identity is sealed for on its way')
    .addOption(
      new Option('--purpose <purpose>', 'what the key is for')
        .choices(['wrap', 'raw-kem'] as const)
        .default('wrap' as const),
    )
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText(
      'after',
      examples(
        'longhold kms keys import archive --package archive.lhx',
        'longhold kms keys import mine --identity mine.key --for transport',
      ),
    )
    .action(async (name, options) => {
      const { purpose, identity, package: file, for: transport } = options
      if ((identity === undefined) === (file === undefined)) {
        throw usage('one of --package and --identity is needed', { hint: 'longhold kms keys import --help' })
      }
      const client = await needKmsClient(terminal, options)
      let sealed: Uint8Array
      if (file !== undefined) sealed = await readInput(terminal, file, packageLimit)
      else {
        if (transport === undefined) {
          throw usage('--identity needs --for KEY', {
            hint: 'any wrap key of the service: it only travels under it',
          })
        }
        const recipient = await keyServiceRecipient(terminal, options, transport, '--for')
        const [mine, ...more] = await readIdentities(terminal, identity ?? '')
        if (mine === undefined || more.length > 0) throw refused(`${identity} holds more than one identity`)
        sealed = await packaged(mine, { key: name, purpose }, recipient)
      }
      const packagedAs = file === undefined ? undefined : options.packagedAs
      const key = await client.keys.importKey({
        key: name,
        purpose,
        package: sealed,
        ...(packagedAs === undefined ? {} : { packaged_as: packagedAs }),
      })
      const text = table([
        ['key', key.key],
        ['versions', String(key.version_count)],
        ['primary', String(key.primary_version)],
      ])
      await terminal.answer({ text, json: key })
    })
}

async function packaged(
  identity: LocalIdentity,
  label: { key: string; purpose: 'wrap' | 'raw-kem' },
  recipient: Awaited<ReturnType<typeof keyServiceRecipient>>,
): Promise<Uint8Array> {
  const [{ sealKeyPackage }, { Secret }] = await Promise.all([
    import('@longhold/core/kms'),
    import('@longhold/core'),
  ])
  const seed = identity.useSeed((bytes) => Secret.copyOf(bytes))
  try {
    const version = {
      version: 1,
      kemId: identity.kemId,
      state: 'primary' as const,
      createdAt: Date.now(),
      seed,
    }
    return await sealKeyPackage(label, [version], [recipient])
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    throw usage(error.message, { hint: error.hint, cause: error })
  } finally {
    seed.wipe()
    identity.wipe()
  }
}
