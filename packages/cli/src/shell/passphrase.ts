/** Where a passphrase comes from: a file, or the person at the terminal. Never the command line, which others see. */

import { Option } from '@commander-js/extra-typings'

import { loadConfig } from './config.ts'
import { usage } from './errors.ts'
import { readInput, warnWhenShared } from './files.ts'
import { SecretPrompt } from './secret-prompt.ts'
import type { Terminal } from './terminal.ts'

export interface PassphraseOptions {
  readonly passphraseFile?: string | undefined
}

export function passphraseFileOption() {
  return new Option('--passphrase-file <file>', 'a file with the passphrase of protected identities')
}

const limit = { maxBytes: 4096, reason: 'that is too long to be a passphrase' }

/**
 * The passphrase of a protected file: `--passphrase-file`, `LONGHOLD_PASSPHRASE_FILE` or `longhold.yaml`, else asked for.
 *
 * @throws CliError with exit code 2 when there is nobody to ask.
 */
export async function readPassphrase(
  terminal: Terminal,
  path: string,
  options: PassphraseOptions,
): Promise<string> {
  const config = await loadConfig(terminal)
  const file = options.passphraseFile ?? terminal.io.env['LONGHOLD_PASSPHRASE_FILE'] ?? config.passphraseFile
  if (file !== undefined) return await readPassphraseFile(terminal, file)
  using prompt = openPrompt(terminal, `${path} is protected by a passphrase`)
  return await prompt.ask(`Passphrase of ${path}: `)
}

/** A passphrase for what is about to be written, asked for twice when there is no file. */
export async function newPassphrase(
  terminal: Terminal,
  { passphraseFile }: PassphraseOptions,
): Promise<string> {
  if (passphraseFile !== undefined) return await readPassphraseFile(terminal, passphraseFile)
  using prompt = openPrompt(terminal, 'a passphrase is needed')
  const first = await prompt.ask('New passphrase: ')
  if (first === '') throw usage('an empty passphrase protects nothing')
  if ((await prompt.ask('The same again: ')) !== first) {
    throw usage('the two passphrases differ', { hint: 'run the command again; nothing was written' })
  }
  return first
}

function openPrompt(terminal: Terminal, why: string): SecretPrompt {
  const tty = terminal.io.openTty?.()
  if (tty !== undefined) return new SecretPrompt(terminal, tty)
  throw usage(`${why}, and there is no terminal to ask for it`, { hint: 'give --passphrase-file FILE' })
}

export async function readPassphraseFile(terminal: Terminal, path: string): Promise<string> {
  const bytes = await readInput(terminal, path, limit)
  await warnWhenShared(terminal, path)
  const passphrase = new TextDecoder().decode(bytes).replace(/\r?\n$/u, '')
  bytes.fill(0)
  if (passphrase === '' || passphrase.includes('\n')) {
    throw usage(`${path} must hold one line, the passphrase`)
  }
  return passphrase
}
