/** What the key service is started with: options of the command, the environment, and the section `kms` of `longhold.yaml`. */

import { Option } from '@commander-js/extra-typings'
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { ConfigError, configText, readValues, settingNames, settings } from '@longhold/kms/config'
import type { Command, ReadValues, SettingName, Values } from '@longhold/kms/config'

import { loadConfig } from './config.ts'
import { usage } from './errors.ts'
import type { Terminal } from './terminal.ts'

/** One option for each setting of a command of the key service. */
export function settingOptions(command: Command): Option[] {
  return namesOf(command).map((name) => {
    const { kind, help } = settings[name]
    const flags = kind.valueName === '' ? `--${name}` : `--${name} <${kind.valueName}>`
    const option = new Option(flags, help)
    return kind.choices === undefined ? option : option.choices(kind.choices)
  })
}

/**
 * @param given The command whose options were made by `settingOptions`.
 * @throws CliError with exit code 2 for all that is wrong.
 */
export async function readSettings(
  terminal: Terminal,
  command: Command,
  given: CommandUnknownOpts,
): Promise<Values> {
  return (await readAll(terminal, command, given)).values
}

/** The same, as a text that says what is given, and by whom. */
export async function settingsText(
  terminal: Terminal,
  command: Command,
  given: CommandUnknownOpts,
): Promise<string> {
  const { file } = await loadConfig(terminal)
  return configText(await readAll(terminal, command, given), file)
}

async function readAll(terminal: Terminal, command: Command, given: CommandUnknownOpts): Promise<ReadValues> {
  const config = await loadConfig(terminal)
  const all: Record<string, unknown> = given.opts()
  const options = Object.fromEntries(
    namesOf(command).map((name) => {
      const value = all[camelCase(name)]
      return [name, typeof value === 'string' || typeof value === 'boolean' ? value : undefined]
    }),
  )
  // To a client it is the token that it shows, and no setting of a service.
  const { LONGHOLD_KMS_TOKEN_FILE: _, ...env } = terminal.io.env
  const file = config.file === undefined ? undefined : { path: config.file, entries: config.kms.entries }
  try {
    const read = readValues({ command, options, env, file, directory: terminal.io.cwd })
    if (read.values['data-dir'] !== undefined) return read
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw usage(error.message, { hint: `longhold kms ${command} --help lists the options`, cause: error })
  }
  throw usage('no data directory for the key service', {
    hint: 'give --data-dir DIRECTORY, or run longhold init to make one',
  })
}

function namesOf(command: Command): SettingName[] {
  return settingNames.filter((name) => settings[name].commands.some((one) => one === command))
}

function camelCase(name: string): string {
  return name.replace(/-(.)/gu, (_, letter: string) => letter.toUpperCase())
}
