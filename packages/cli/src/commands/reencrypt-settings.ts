/** Flags and longhold.yaml joined: what a command of `longhold reencrypt` works on, and with what. */

import { open } from 'node:fs/promises'
import { relative } from 'node:path'

import type { PrivateKeyEntry } from '../legacy-keys/private-key-set.ts'
import { parsePrivateKey, PrivateKeyError, RsaPrivateKey } from '../legacy-keys/rsa-private-key.ts'
import { loadConfig } from '../shell/config.ts'
import { fileError, usage } from '../shell/errors.ts'
import { readInput, warnWhenShared } from '../shell/files.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { WantedColumns } from '../sources/row-source.ts'
import { chooseFormats, parseReencryptConfig } from './reencrypt-config.ts'
import type { PrivateKeyConfig, ReencryptConfig } from './reencrypt-config.ts'
import { defaultBusyTimeoutS } from './reencrypt-flags.ts'
import type { LegacyFlags, TargetFlags } from './reencrypt-flags.ts'
import { columnsOf } from './reencrypt-formats.ts'
import type { FormatChoice } from './reencrypt-formats.ts'

export interface TargetSettings {
  /** Absolute. */
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  readonly kind: 'sqlite' | 'ndjson'
  readonly table: string | undefined
  readonly column: string
  readonly idMember: string | undefined
  readonly busyTimeoutMs: number
  /** Where longhold.yaml wants the dead letters, absolute. */
  readonly deadLetters: string | undefined
  readonly config: ReencryptConfig
}

export interface LegacySettings {
  readonly formats: readonly FormatChoice[]
  readonly columns: WantedColumns
  readonly privateKeys: readonly PrivateKeyEntry[]
}

const keyFileLimit = { maxBytes: 1024 * 1024, reason: 'that is too long to be a private key' }

/** @throws CliError (exit 2) when the target is not said, cannot be read or is neither of the two kinds. */
export async function resolveTarget(
  terminal: Terminal,
  target: string | undefined,
  flags: TargetFlags,
): Promise<TargetSettings> {
  const whole = await loadConfig(terminal)
  const config = parseReencryptConfig(whole)
  const shown = target ?? config.target
  if (shown === undefined) {
    throw usage('no target', {
      hint: 'give an SQLite database or an NDJSON file: longhold reencrypt plan app.db …',
    })
  }
  const path = target === undefined ? whole.resolve(shown) : terminal.path(shown)
  const column = flags.column ?? config.column
  if (column === undefined) throw usage('no column with the values', { hint: 'give --column NAME' })
  const kind = (await isSqlite(path, shown)) ? 'sqlite' : 'ndjson'
  const table = flags.table ?? config.table
  const idMember = flags.id ?? config.id
  if (kind === 'sqlite' && table === undefined)
    throw usage(`no table of ${shown}`, { hint: 'give --table NAME' })
  if (kind === 'ndjson' && flags.table !== undefined) {
    throw usage(`${shown} is not an SQLite database, so --table means nothing`, {
      hint: 'leave it out, or check the name of the file',
    })
  }
  if (kind === 'ndjson' && idMember === undefined) {
    throw usage(`nothing names the lines of ${shown}`, {
      hint: 'give --id MEMBER: records are bound to it, as they are to a primary key',
    })
  }
  const busyTimeoutMs = (flags.busyTimeout ?? config['busy-timeout'] ?? defaultBusyTimeoutS) * 1000
  const letters = config['dead-letters']
  const deadLetters = letters === undefined ? undefined : whole.resolve(letters)
  return { path, shown, kind, table, column, idMember, busyTimeoutMs, deadLetters, config }
}

/** The first 16 bytes of every database (sqlite.org/fileformat.html §1.3). An empty file is an NDJSON file. */
async function isSqlite(path: string, shown: string): Promise<boolean> {
  const magic = 'SQLite format 3\0'
  try {
    const file = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(magic.length), 0, magic.length, 0)
      return bytesRead === magic.length && buffer.toString('latin1') === magic
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(error, shown, 'read')
  }
}

/** @throws CliError (exit 2) for an unknown format or a private key that cannot be used. */
export async function resolveLegacy(
  terminal: Terminal,
  { column, config }: TargetSettings,
  flags: LegacyFlags,
): Promise<LegacySettings> {
  const formats = chooseFormats(flags.format ?? config.format, config.formats, column)
  return {
    formats,
    columns: columnsOf(formats, column),
    privateKeys: await readPrivateKeys(terminal, config, flags),
  }
}

async function readPrivateKeys(
  terminal: Terminal,
  config: ReencryptConfig,
  flags: LegacyFlags,
): Promise<PrivateKeyEntry[]> {
  const whole = await loadConfig(terminal)
  // As a person would name it here: messages say so.
  const near = (path: string): string => relative(terminal.io.cwd, whole.resolve(path))
  const named: PrivateKeyConfig[] =
    flags.privateKey?.map((file) => ({ file, 'key-ids': [] })) ??
    config['private-keys'].map((entry) => ({ ...entry, file: near(entry.file) }))
  const entries: PrivateKeyEntry[] = []
  for (const entry of named) {
    const bytes = await readInput(terminal, entry.file, keyFileLimit)
    await warnWhenShared(terminal, entry.file)
    const fromConfig = entry['passphrase-file']
    const passphrase = await readPassphrase(terminal, {
      file: flags.passphraseFile ?? (fromConfig === undefined ? undefined : near(fromConfig)),
      variable: flags.passphraseEnv ?? entry['passphrase-env'],
    })
    try {
      const key = parsePrivateKey(bytes, passphrase)
      entries.push({ name: new RsaPrivateKey(entry.file, key).name, key, keyIds: entry['key-ids'] })
    } catch (error) {
      if (!(error instanceof PrivateKeyError)) throw error
      throw unusable(error, entry.file)
    } finally {
      bytes.fill(0)
    }
  }
  return entries
}

function unusable({ code, message }: PrivateKeyError, shown: string): Error {
  const hints = {
    not_a_key: 'give the RSA private key that the values were encrypted for: PEM, DER or JWK',
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
