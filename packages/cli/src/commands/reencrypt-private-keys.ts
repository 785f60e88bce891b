/** The private keys of a run: files, directories of them, and programs that hold one. */

import type { KeyObject } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join, parse, relative } from 'node:path'

import { certificatesOf, readCertificates } from '../legacy-keys/certificates.ts'
import { KeyCommand, KeyCommandError } from '../legacy-keys/key-command.ts'
import { readKeyFile } from '../legacy-keys/key-file.ts'
import { isOpenPgpKey, readOpenPgpKeys } from '../legacy-keys/openpgp-key.ts'
import { PrivateKeyError } from '../legacy-keys/private-key-error.ts'
import type { PrivateKeyEntry } from '../legacy-keys/private-key-set.ts'
import { loadConfig } from '../shell/config.ts'
import { fileError, stopped, usage } from '../shell/errors.ts'
import { readInput, warnWhenShared } from '../shell/files.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural } from '../shell/text.ts'
import type { PrivateKeyConfig, ReencryptConfig } from './reencrypt-config.ts'
import type { LegacyFlags } from './reencrypt-flags.ts'

const keyFileLimit = { maxBytes: 1024 * 1024, reason: 'that is too long to be a private key' }

/** @throws CliError (exit 2) for what is no usable private key; exit 4 when a program does not say its key. */
export async function readPrivateKeys(
  terminal: Terminal,
  config: ReencryptConfig,
  flags: LegacyFlags,
): Promise<PrivateKeyEntry[]> {
  const whole = await loadConfig(terminal)
  // As a person would name it here: messages say so.
  const near = (path: string): string => relative(terminal.io.cwd, whole.resolve(path))
  const named: PrivateKeyConfig[] =
    flags.privateKey?.map((file) => ({ file, 'key-ids': [] })) ??
    config['private-keys'].map((entry) => ('file' in entry ? { ...entry, file: near(entry.file) } : entry))
  const entries: PrivateKeyEntry[] = []
  for (const entry of named) {
    if ('command' in entry) {
      entries.push(await fromCommand(entry.command, entry['key-ids']))
      continue
    }
    const fromConfig = entry['passphrase-file']
    const passphrase = await readPassphrase(terminal, {
      file: flags.passphraseFile ?? (fromConfig === undefined ? undefined : near(fromConfig)),
      variable: flags.passphraseEnv ?? entry['passphrase-env'],
    })
    const isDirectory = await stat(terminal.path(entry.file)).then(
      (stats) => stats.isDirectory(),
      (error: unknown) => {
        throw fileError(error, entry.file, 'read')
      },
    )
    entries.push(
      ...(isDirectory
        ? await fromDirectory(terminal, entry.file, passphrase)
        : await fromFile(terminal, entry, passphrase)),
    )
  }
  return entries
}

async function fromFile(
  terminal: Terminal,
  { file, 'key-ids': keyIds }: { readonly file: string; readonly 'key-ids': readonly string[] },
  passphrase: string | undefined,
): Promise<PrivateKeyEntry[]> {
  try {
    return (await keysOf(terminal, file, passphrase)).map((found) => ({ ...found, keyIds }))
  } catch (error) {
    if (error instanceof PrivateKeyError) throw unusable(error, file)
    throw error
  }
}

/**
 * All keys of a directory; a file is the key of the id that is its name, with or without what follows the last dot.
 * Certificates in files of their own go to the keys that they are of.
 */
async function fromDirectory(
  terminal: Terminal,
  directory: string,
  passphrase: string | undefined,
): Promise<PrivateKeyEntry[]> {
  const files = await readdir(terminal.path(directory))
  const entries: (PrivateKeyEntry & { readonly key: KeyObject })[] = []
  const certificates: Uint8Array[] = []
  let others = 0
  for (const name of files.filter((one) => !one.startsWith('.')).toSorted()) {
    const file = join(directory, name)
    if (!(await isFile(terminal, file))) continue
    try {
      for (const found of await keysOf(terminal, file, passphrase)) {
        entries.push({ ...found, keyIds: [], knownIds: [...found.knownIds, name, parse(name).name] })
      }
    } catch (error) {
      if (!(error instanceof PrivateKeyError)) throw error
      // Certificates and public keys lie beside private ones; a key that does not open is another matter.
      if (error.code === 'needs_passphrase' || error.code === 'wrong_passphrase') throw unusable(error, file)
      const found = readCertificates(await readInput(terminal, file, keyFileLimit))
      certificates.push(...found)
      if (found.length === 0) others++
    }
  }
  if (entries.length === 0) {
    throw usage(`no RSA private key in the directory ${directory}`, {
      hint: 'give the file of one, or the directory that holds them',
    })
  }
  if (others > 0) terminal.note(`${plural(others, 'file')} of ${directory} left out: no RSA private key`)
  return entries.map((entry) => {
    const known = 'certificates' in entry ? (entry.certificates ?? []) : []
    return { ...entry, certificates: [...known, ...certificatesOf(entry.key, certificates)] }
  })
}

async function isFile(terminal: Terminal, file: string): Promise<boolean> {
  return await stat(terminal.path(file)).then(
    (stats) => stats.isFile(),
    () => false,
  )
}

async function keysOf(terminal: Terminal, file: string, passphrase: string | undefined) {
  const bytes = await readInput(terminal, file, keyFileLimit)
  await warnWhenShared(terminal, file)
  try {
    const found = isOpenPgpKey(bytes)
      ? await readOpenPgpKeys(bytes, passphrase)
      : readKeyFile(bytes, passphrase)
    return found.map(({ keyIds, ...key }, index) => {
      return { ...key, name: found.length === 1 ? file : `${file} (key ${index + 1})`, knownIds: keyIds }
    })
  } finally {
    bytes.fill(0)
  }
}

async function fromCommand(command: readonly string[], keyIds: readonly string[]): Promise<PrivateKeyEntry> {
  const keyCommand = new KeyCommand(command)
  try {
    return { name: command[0] ?? '', keyIds, command, ...(await keyCommand.facts) }
  } catch (error) {
    if (!(error instanceof KeyCommandError)) throw error
    throw stopped(error.message, { hint: 'docs/reencrypt.md says what such a program reads and writes' })
  } finally {
    keyCommand.close()
  }
}

function unusable({ code, message }: PrivateKeyError, shown: string): Error {
  const hints = {
    not_a_key:
      'give the RSA private key that the values were encrypted for: PEM, DER, PKCS #12, JWK, OpenSSH or OpenPGP',
    not_rsa: 'give the RSA private key that the values were encrypted for',
    needs_passphrase: 'give --passphrase-file FILE or --passphrase-env NAME',
    wrong_passphrase: 'check --passphrase-file or --passphrase-env',
  }
  return usage(`private key ${shown}: ${message}`, { hint: hints[code] })
}

/** Never from the command line, where every process of the machine could read it. */
async function readPassphrase(
  terminal: Terminal,
  { file, variable }: { readonly file: string | undefined; readonly variable: string | undefined },
): Promise<string | undefined> {
  if (variable !== undefined) {
    const value = terminal.io.env[variable]
    if (value !== undefined) return value
    throw usage(`the environment has no variable ${variable}`, { hint: 'set it to the passphrase' })
  }
  if (file === undefined) return undefined
  const bytes = await readInput(terminal, file, {
    maxBytes: 4096,
    reason: 'that is too long to be a passphrase',
  })
  await warnWhenShared(terminal, file)
  return new TextDecoder().decode(bytes).split(/\r?\n/u, 1)[0] ?? ''
}
