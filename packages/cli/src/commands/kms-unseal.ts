import { Command, Option } from '@commander-js/extra-typings'
import type { SealStatus, UnsealRequest } from '@longhold/core/kms'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { readPassphraseFile } from '../shell/passphrase.ts'
import { SecretPrompt } from '../shell/secret-prompt.ts'
import { readKeyFile, readShareFile } from '../shell/slot-secrets.ts'
import { adminSocketOption, dataDirOption, needSysClient, onSocket } from '../shell/sys-client.ts'
import type { Terminal } from '../shell/terminal.ts'

interface UnsealOptions {
  readonly passphraseFile?: string | undefined
  readonly shareFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly keyService?: true | undefined
  readonly forgetShares?: true | undefined
}

/** `longhold kms unseal`: gives a sealed key service what opens its root key. */
export function kmsUnsealCommand(terminal: Terminal) {
  return new Command('unseal')
    .summary('open the root key of a key service that is sealed')
    .description(
      'Gives a sealed key service what opens its root key, on its admin socket: one passphrase, key file or other ' +
        'key service is enough, shares are given one by one. Without an option it asks at the terminal for ' +
        'what there is a slot for. A wrong secret changes nothing, and makes the next attempt wait.',
    )
    .addOption(
      new Option('--passphrase-file <file>', 'a file with the passphrase').conflicts([
        'shareFile',
        'keyFile',
        'keyService',
        'forgetShares',
      ]),
    )
    .addOption(
      new Option('--share-file <file>', 'a file with one share').conflicts([
        'keyFile',
        'keyService',
        'forgetShares',
      ]),
    )
    .addOption(new Option('--key-file <file>', 'a key file').conflicts(['keyService', 'forgetShares']))
    .addOption(
      new Option('--key-service', 'ask the other key service that it is configured with').conflicts(
        'forgetShares',
      ),
    )
    .option('--forget-shares', 'give up the shares that were given so far')
    .addOption(dataDirOption())
    .addOption(adminSocketOption())
    .addHelpText(
      'after',
      examples('longhold kms unseal', 'longhold kms unseal --share-file /media/usb/share-2.txt'),
    )
    .action(async (options) => {
      await onSocket(terminal, options, async (client) => {
        const status = await client.sealStatus()
        if (!status.sealed || !status.initialised) return await answer(terminal, status)
        return await answer(terminal, await client.unseal(await attemptOf(terminal, options, status)))
      })
    })
}

/** `longhold kms seal-status`. */
export function kmsSealStatusCommand(terminal: Terminal) {
  return new Command('seal-status')
    .description('Says whether a key service is sealed and what opens it, on its admin socket.')
    .addOption(dataDirOption())
    .addOption(adminSocketOption())
    .addHelpText('after', examples('longhold kms seal-status'))
    .action(async (options) => {
      const status = await onSocket(terminal, options, (client) => client.sealStatus())
      await answer(terminal, status)
    })
}

/** `longhold kms seal`: makes the service forget all keys. */
export function kmsSealCommand(terminal: Terminal) {
  return new Command('seal')
    .summary('make the key service forget all keys until it is unsealed')
    .description(
      'Makes the key service forget its root key and all keys, once the requests under way are answered. It serves ' +
        'nothing until somebody unseals it. The token needs the permission sys.seal.',
    )
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold kms seal'))
    .action(async (options) => {
      const client = await needSysClient(terminal, options)
      await answer(terminal, await client.seal())
    })
}

async function attemptOf(
  terminal: Terminal,
  options: UnsealOptions,
  status: SealStatus,
): Promise<UnsealRequest> {
  const { passphraseFile, shareFile, keyFile } = options
  if (options.forgetShares === true) return { forget_shares: true }
  if (options.keyService === true) return { key_service: true }
  if (passphraseFile !== undefined) return { passphrase: await readPassphraseFile(terminal, passphraseFile) }
  if (shareFile !== undefined) return { share: await readShareFile(terminal, shareFile) }
  if (keyFile !== undefined) return { key_file: await readKeyFile(terminal, keyFile) }
  return await ask(terminal, status)
}

async function ask(terminal: Terminal, { kinds, shares }: SealStatus): Promise<UnsealRequest> {
  const asksShare = kinds.includes('shares') && (shares !== null || !kinds.includes('passphrase'))
  if (!asksShare && !kinds.includes('passphrase')) {
    throw usage(`this service is opened by ${kinds.join(' or ')}`, {
      hint: 'give --key-file FILE or --key-service',
    })
  }
  const tty = terminal.io.openTty?.()
  if (tty === undefined) {
    throw usage('there is no terminal to ask for the secret', {
      hint: 'give --passphrase-file FILE, --share-file FILE, --key-file FILE or --key-service',
    })
  }
  using prompt = new SecretPrompt(terminal, tty)
  return asksShare
    ? { share: (await prompt.ask('Share: ')).trim() }
    : { passphrase: await prompt.ask('Passphrase: ') }
}

async function answer(terminal: Terminal, status: SealStatus): Promise<void> {
  await terminal.answer({ text: describe(status), json: status })
}

function describe({ sealed, initialised, kinds, shares }: SealStatus): string {
  if (!initialised) return 'not initialised: longhold kms init sets it up'
  if (!sealed) return 'unsealed'
  if (shares !== null) return `sealed: ${shares.given} of ${shares.threshold} shares are there`
  return `sealed: opened by ${kinds.join(' or ')}`
}
