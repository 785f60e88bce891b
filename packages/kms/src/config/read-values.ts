/** Options, environment and file, put together: what is given and by whom. Finds everything that is wrong, not only the first. */

import { dirname } from 'node:path'

import { ConfigError } from './config-error.ts'
import { nearest } from './nearest.ts'
import { isSettingName, settingNames, settings, variableOf } from './settings.ts'
import type { Command, SettingName, Values } from './settings.ts'

/** What each place says, as text or, from a file, as YAML has it. */
export interface Given {
  readonly command: Command
  /** By name, without `--`; a switch is true. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Entries of a file, and what the file is called. */
  readonly file?: { readonly path: string; readonly entries: Readonly<Record<string, unknown>> } | undefined
  /** Where relative paths of options and variables begin. */
  readonly directory: string
}

/** What was given, by the command line, the environment and the file, and where each value is from. */
export interface ReadValues {
  readonly values: Values
  /** Where each value is from: `--listen`, `LONGHOLD_KMS_LISTEN`, the file. */
  readonly origins: ReadonlyMap<SettingName, string>
}

/** Variables that others read: the client, and the choice of the file. */
const otherVariables: ReadonlySet<string> = new Set([
  'LONGHOLD_KMS_URL',
  'LONGHOLD_KMS_CA_FILE',
  'LONGHOLD_KMS_ALLOW_CLASSICAL',
  'LONGHOLD_KMS_CONFIG',
  // Of the client too: there it is the token it shows, here where the first one goes.
  'LONGHOLD_KMS_TOKEN_FILE',
])
const prefix = 'LONGHOLD_KMS_'

/** @throws ConfigError with all that is wrong. */
export function readValues(given: Given): ReadValues {
  const problems = [...unknownNames(given)]
  const values: Record<string, unknown> = {}
  const origins = new Map<SettingName, string>()
  for (const name of settingNames) {
    const found = find(name, given)
    if (found === undefined) continue
    const read = settings[name].kind.read(found.text, found.directory)
    if ('problem' in read) {
      problems.push(`${found.origin} ${read.problem}`)
      continue
    }
    values[name] = read.value
    origins.set(name, found.origin)
  }
  problems.push(...contradictions(values))
  if (problems.length > 0) throw new ConfigError(...problems)
  return { values: Object.freeze(values), origins }
}

interface Found {
  readonly text: string
  readonly origin: string
  readonly directory: string
}

function find(name: SettingName, { options, env, file, directory }: Given): Found | undefined {
  const option = options[name]
  if (option !== undefined) return { text: String(option), origin: `--${name}`, directory }
  const variable = variableOf(name)
  const text = env[variable]
  if (text !== undefined) return { text, origin: variable, directory }
  const entry = file?.entries[name]
  if (file === undefined || entry === undefined || !Object.hasOwn(file.entries, name)) return undefined
  const isPlain = typeof entry === 'string' || typeof entry === 'number' || typeof entry === 'boolean'
  const origin = `${name} of ${file.path}`
  return { text: isPlain ? String(entry) : '[several values]', origin, directory: dirname(file.path) }
}

function* unknownNames({ command, options, env, file }: Given): Generator<string> {
  const own: readonly string[] = settingNames.filter((name) =>
    settings[name].commands.some((one) => one === command),
  )
  for (const [name, option] of Object.entries(options)) {
    if (option === undefined || own.includes(name)) continue
    if (isSettingName(name)) yield `--${name} is no option of ${command}`
    else
      yield unknownName(
        'option',
        `--${name}`,
        own.map((one) => `--${one}`),
      )
  }
  const variables = settingNames.map(variableOf)
  for (const name of Object.keys(env)) {
    const isOurs = name.startsWith(prefix) && !otherVariables.has(name)
    if (isOurs && !variables.includes(name)) yield unknownName('variable', name, variables)
  }
  for (const name of Object.keys(file?.entries ?? {})) {
    if (!isSettingName(name)) yield `${file?.path}: ${unknownName('entry', name, settingNames)}`
  }
}

/** Says that there is none, and which one was meant. */
export function unknownName(what: string, name: string, names: readonly string[]): string {
  const meant = nearest(name, names)
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  return `there is no ${what} ${name.slice(0, 64)}${hint}`
}

/** What makes no sense together. */
function* contradictions(values: Values): Generator<string> {
  const has = (name: SettingName) => values[name] !== undefined
  if (has('tls-cert') !== has('tls-key')) {
    const [there, missing] = has('tls-cert') ? ['tls-cert', 'tls-key'] : ['tls-key', 'tls-cert']
    yield `${there} is given and ${missing} is not: TLS takes both`
  }
  if (values['tls-require-pq'] === true && !has('tls-cert') && !has('tls-key')) {
    yield 'tls-require-pq takes TLS: give tls-cert and tls-key'
  }
  const sealed = (['seal-url', 'seal-token-file', 'seal-key'] as const).filter(has)
  if (sealed.length > 0 && sealed.length < 3)
    yield 'seal-url, seal-token-file and seal-key are given together'
  const folder = (['backup-folder', 'backup-every'] as const).find(has)
  if (folder !== undefined && !has('backup-recipients')) {
    yield `${folder} takes backup-recipients: without them nobody could open a backup`
  }
  if (has('backup-every') && !has('backup-folder')) yield 'backup-every takes backup-folder'
  const { 'headers-timeout': headers = 10_000, 'request-timeout': request = 30_000 } = values
  if (headers > request) yield 'headers-timeout is longer than request-timeout'
}
