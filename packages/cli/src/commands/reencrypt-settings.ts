/** Flags and longhold.yaml joined: what a command of `longhold reencrypt` works on, and with what. */

import { open } from 'node:fs/promises'

import type { PrivateKeyEntry } from '../legacy-keys/private-key-set.ts'
import { loadConfig } from '../shell/config.ts'
import { fileError, usage } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { WantedColumns } from '../sources/row-source.ts'
import { chooseFormats, parseReencryptConfig } from './reencrypt-config.ts'
import type { ReencryptConfig } from './reencrypt-config.ts'
import { defaultBusyTimeoutS } from './reencrypt-flags.ts'
import type { LegacyFlags, TargetFlags } from './reencrypt-flags.ts'
import { columnsOf } from './reencrypt-formats.ts'
import type { FormatChoice } from './reencrypt-formats.ts'
import { readPrivateKeys } from './reencrypt-private-keys.ts'

export interface TargetSettings {
  /** Absolute; of a database that is a server, its address. */
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  readonly kind: 'sqlite' | 'postgres' | 'ndjson' | 'csv'
  readonly table: string | undefined
  readonly column: string
  readonly idMember: string | undefined
  /** Of CSV. */
  readonly delimiter: string
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
      hint: 'give an SQLite database, an NDJSON file or postgres://…: longhold reencrypt plan app.db …',
    })
  }
  const isPostgres = /^postgres(?:ql)?:/u.test(shown)
  const path = isPostgres ? shown : target === undefined ? whole.resolve(shown) : terminal.path(shown)
  const column = flags.column ?? config.column
  if (column === undefined) throw usage('no column with the values', { hint: 'give --column NAME' })
  const isTable = isPostgres || (await isSqlite(path, shown))
  const delimiter = delimiterOf(shown, flags.delimiter ?? config.delimiter)
  const kind = isPostgres ? 'postgres' : isTable ? 'sqlite' : delimiter === undefined ? 'ndjson' : 'csv'
  const table = flags.table ?? config.table
  const idMember = flags.id ?? config.id
  if (isTable && table === undefined) throw usage(`no table of ${shown}`, { hint: 'give --table NAME' })
  if (!isTable && flags.table !== undefined) {
    throw usage(`${shown} is not a database, so --table means nothing`, {
      hint: 'leave it out, or check the name of the file',
    })
  }
  if (!isTable && idMember === undefined) {
    throw usage(`nothing names the ${kind === 'csv' ? 'records' : 'lines'} of ${shown}`, {
      hint: `give --id ${kind === 'csv' ? 'COLUMN' : 'MEMBER'}: records are bound to it, as they are to a primary key`,
    })
  }
  const busyTimeoutMs = (flags.busyTimeout ?? config['busy-timeout'] ?? defaultBusyTimeoutS) * 1000
  const letters = config['dead-letters']
  const deadLetters = letters === undefined ? undefined : whole.resolve(letters)
  return {
    path,
    shown,
    kind,
    table,
    column,
    idMember,
    delimiter: delimiter ?? ',',
    busyTimeoutMs,
    deadLetters,
    config,
  }
}

/** CSV by its name, or because somebody says what stands between its fields; undefined for other files. */
function delimiterOf(shown: string, given: string | undefined): string | undefined {
  const named = given === 'tab' ? '\t' : given
  if (named !== undefined && !/^[\t -~]$/u.test(named)) {
    throw usage(`--delimiter ${named} is not one character of ASCII`, { hint: 'say , or ; or tab' })
  }
  if (named === '"') throw usage('--delimiter: a quote cannot stand between fields')
  if (/\.tsv$/iu.test(shown)) return named ?? '\t'
  return /\.csv$/iu.test(shown) ? (named ?? ',') : named
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

/** Columns by the names the layouts use, in the order of a row's cells. */
export function columnsAsAsked({ columns }: LegacySettings): string[] {
  return [...columns.own, ...columns.read]
}
