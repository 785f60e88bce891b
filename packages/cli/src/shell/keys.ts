/** Who may open, and with what: recipients, identities, the key service and the context of a command. */

import { Option } from '@commander-js/extra-typings'
import { canonicalContext, LongholdError, parseRecipient } from '@longhold/core'
import type { Identity, LocalIdentity, PublicKeyRecipient, Recipient } from '@longhold/core'
import type { KmsRecipient } from '@longhold/core/kms'

import { loadConfig } from './config.ts'
import { usage } from './errors.ts'
import { readIdentities } from './identity-files.ts'
import { keyLines, readKeyFile, unreadableKey } from './key-files.ts'
import { keyServiceRecipient, openKmsClient } from './key-service.ts'
import type { KeyServiceOptions } from './key-service.ts'
import type { PassphraseOptions } from './passphrase.ts'
import { withSuites } from './suites.ts'
import type { Terminal } from './terminal.ts'

/** What commander makes of the options below. */
export interface KeyOptions extends KeyServiceOptions, PassphraseOptions {
  readonly recipient?: string[] | undefined
  readonly recipientsFile?: string[] | undefined
  readonly identity?: string[] | undefined
}

export interface NamedIdentity {
  /** A file, or the address of a key service. */
  readonly name: string
  readonly identity: Identity
  /** Set for identities from a file. */
  readonly local: LocalIdentity | undefined
}

export interface NamedRecipient {
  readonly recipient: PublicKeyRecipient | KmsRecipient
  /** Set when the recipient is a key of the key service. */
  readonly kmsKey: string | undefined
}

/** For options that may be given more than once. */
export function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

export function recipientOption() {
  return new Option(
    '-r, --recipient <recipient>',
    'who can open it: lhrecipient1-…, or kms:NAME for a key of the key service (repeatable)',
  ).argParser(collect)
}

export function recipientsFileOption() {
  return new Option('-R, --recipients-file <file>', 'recipients, one a line (repeatable)').argParser(collect)
}

export function identityOption() {
  return new Option('-i, --identity <file>', 'a file with identities (repeatable)').argParser(collect)
}

export function contextOption() {
  return new Option(
    '-c, --context <key=value>',
    'a pair bound to the data; opening needs exactly the same pairs (repeatable)',
  ).argParser(collect)
}

const kmsPrefix = 'kms:'

/**
 * The recipients of a command: `--recipient` and `--recipients-file`, else those of `longhold.yaml`.
 *
 * @throws CliError with exit code 2 when there are none, or when one cannot be read.
 */
export async function resolveRecipients(terminal: Terminal, options: KeyOptions): Promise<Recipient[]> {
  const named = await resolveNamedRecipients(terminal, options)
  return named.map(({ recipient }) => recipient)
}

export async function resolveNamedRecipients(
  terminal: Terminal,
  options: KeyOptions,
): Promise<NamedRecipient[]> {
  const config = await loadConfig(terminal)
  const given = options.recipient !== undefined || options.recipientsFile !== undefined
  const words = new Map<string, string>() // each recipient, and where it was written
  for (const text of (given ? options.recipient : config.recipient) ?? []) {
    words.set(text, given ? '--recipient' : `${config.path ?? ''} recipient`)
  }
  for (const path of (given ? options.recipientsFile : config.recipientsFile) ?? []) {
    for (const { text, line } of keyLines(await readKeyFile(terminal, path))) {
      words.set(text, `${path} line ${line}`)
    }
  }
  if (words.size === 0) {
    throw usage('no recipients: nobody could open it', {
      hint: 'give --recipient lhrecipient1-… or kms:NAME, --recipients-file FILE, or run longhold init',
    })
  }
  const recipients: NamedRecipient[] = []
  for (const [text, where] of words) recipients.push(await toRecipient(terminal, options, text, where))
  return recipients
}

async function toRecipient(
  terminal: Terminal,
  options: KeyOptions,
  text: string,
  where: string,
): Promise<NamedRecipient> {
  if (text.startsWith(kmsPrefix)) {
    const kmsKey = text.slice(kmsPrefix.length)
    return { recipient: await keyServiceRecipient(terminal, options, kmsKey, where), kmsKey }
  }
  // Never echoed: somebody may have pasted the secret half.
  if (text.startsWith('LONGHOLD-IDENTITY-')) {
    throw usage(`${where}: this is an identity, the secret half`, {
      hint: 'give the recipient that keygen printed: longhold keygen --to-recipient FILE shows it again',
    })
  }
  if (!text.startsWith('lhrecipient')) {
    throw usage(`${where}: not a recipient: ${text.slice(0, 40)}`, {
      hint: 'a recipient begins with lhrecipient1- or kms:; for a file of them use --recipients-file',
    })
  }
  try {
    return { recipient: await withSuites((suites) => parseRecipient(text, { suites })), kmsKey: undefined }
  } catch (error) {
    throw unreadableKey(error, `${where}: ${text.slice(0, 20)}…`)
  }
}

/**
 * The identities of a command, in the order they are asked: those of files first, then the key service.
 *
 * With `--identity` on the command line the configured ones are left out, the key service too unless
 * `--kms-url` stands beside it: a break-glass identity must work while the service is down.
 *
 * @throws CliError with exit code 2 when there are none, or when one cannot be read.
 */
export async function resolveIdentities(terminal: Terminal, options: KeyOptions): Promise<NamedIdentity[]> {
  const config = await loadConfig(terminal)
  const named: NamedIdentity[] = []
  for (const path of options.identity ?? config.identity) {
    for (const local of await readIdentities(terminal, path, options))
      named.push({ name: path, identity: local, local })
  }
  if (options.identity === undefined || options.kmsUrl !== undefined) {
    const client = await openKmsClient(terminal, options)
    if (client !== undefined) {
      const { KmsIdentity } = await import('@longhold/core/kms')
      named.push({ name: client.url, identity: new KmsIdentity(client), local: undefined })
    }
  }
  if (named.length === 0) {
    throw usage('no identity to open it with', {
      hint: 'give --identity FILE, or --kms-url URL with --kms-token-file FILE',
    })
  }
  return named
}

/**
 * `key=value` pairs. The value may hold further `=` and may be empty.
 *
 * @throws CliError with exit code 2 on a pair without `=`, a key given twice, or more than 8,192 bytes.
 */
export function parseContext(
  pairs: readonly string[] | undefined,
  flag = '--context',
): Record<string, string> {
  const context = new Map<string, string>()
  for (const pair of pairs ?? []) {
    const split = pair.indexOf('=')
    if (split < 1) {
      throw usage(`${flag} ${pair}: not key=value`, { hint: `say, ${flag} tenant=acme` })
    }
    const key = pair.slice(0, split)
    if (context.has(key)) throw usage(`${flag} ${key} is given twice`)
    context.set(key, pair.slice(split + 1))
  }
  const result = Object.fromEntries(context)
  try {
    canonicalContext(result)
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    throw usage(`${flag}: ${error.message}`, { hint: error.hint, cause: error })
  }
  return result
}
