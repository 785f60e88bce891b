/** Command line, environment and file, read once into a frozen value. Nothing else sees `process.env`. */

import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { ConfigError } from './config/config-error.ts'
import { readConfigFile } from './config/config-file.ts'
import { readValues, unknownName } from './config/read-values.ts'
import { commands, settingNames, settings, variableOf } from './config/settings.ts'
import type { Command, SettingName, Values } from './config/settings.ts'

export interface Config {
  readonly command: ProgramCommand | 'help'
  /** Only look at the configuration, and say what it is. */
  readonly checkOnly: boolean
  readonly values: Values
  /** Where each value is from. */
  readonly origins: ReadonlyMap<SettingName, string>
  /** The file, if there is one. */
  readonly file: string | undefined
}

/** Those of this program: restoring takes the command line of `longhold kms`, which reads identities. */
type ProgramCommand = Exclude<Command, 'restore'>

const about: Readonly<Record<ProgramCommand, string>> = {
  init: 'make key file, database and first token, once',
  serve: 'answer requests until SIGTERM or SIGINT',
  'verify-audit': 'check the audit log of a service that is stopped',
  'accept-rollback': 'go on with a database that was put back to what it once was',
  doctor: 'look for what an operator should change',
}

// Its keys are exactly the names.
const programCommands = Object.keys(about) as ProgramCommand[]

/** @throws ConfigError with all that is wrong. */
export function readConfig(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Config {
  const { options, positionals } = parse(argv)
  const { help, config: named, 'check-config': check, ...rest } = options
  const [word = 'help', ...more] = positionals
  const command = programCommands.find((one) => one === word)
  if (help === true || (word === 'help' && more.length === 0)) return helpOnly
  if (command === undefined || more.length > 0) {
    throw new ConfigError(`there is no command ${positionals.join(' ')}`)
  }
  const directory = process.cwd()
  const path = typeof named === 'string' ? named : env['LONGHOLD_KMS_CONFIG']
  const file = path === undefined ? undefined : resolve(directory, path)
  const entries = file === undefined ? undefined : readConfigFile(file)
  const { values, origins } = readValues({
    command,
    options: rest,
    env,
    directory,
    file: file === undefined || entries === undefined ? undefined : { path: file, entries },
  })
  if (values['data-dir'] === undefined) {
    throw new ConfigError('data-dir is missing: where the database is, or is to be')
  }
  return Object.freeze({ command, checkOnly: check === true, values, origins, file })
}

const helpOnly: Config = Object.freeze({
  command: 'help',
  checkOnly: false,
  values: Object.freeze({}),
  origins: new Map(),
  file: undefined,
})

export function usage(): string {
  const calls = programCommands.map((command) => `  longhold-kms ${command.padEnd(12)}  ${about[command]}`)
  const options = settingNames.map((name) => {
    const { kind, commands: of, help } = settings[name]
    const value = kind.choices?.join('|') ?? kind.valueName.toUpperCase()
    const option = value === '' ? `--${name}` : `--${name} ${value}`
    const whose = of.length === commands.length ? '' : `${of.join(', ')}: `
    return `  ${option.padEnd(32)} ${whose}${help}`
  })
  return [
    'longhold-kms: a key service with hybrid post-quantum keys',
    '',
    ...calls,
    '',
    ...options,
    '  --config FILE                    read entries of these names from a YAML file',
    '  --check-config                   say what the configuration is, and do nothing',
    '',
    `An option goes before a variable (${variableOf('data-dir')} for --data-dir, and so on), a variable before the`,
    'file (LONGHOLD_KMS_CONFIG names it too). Times are written 500ms, 10s, 2m, 6h or 90d. A switch of the file that an',
    'option is to turn off: --no-tls-require-pq.',
  ].join('\n')
}

function parse(argv: readonly string[]) {
  const options = Object.fromEntries(
    settingNames.map((name) => [name, { type: settings[name].kind.valueName === '' ? 'boolean' : 'string' }]),
  ) as Record<SettingName, { type: 'boolean' | 'string' }>
  const own = {
    config: { type: 'string' },
    'check-config': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const
  try {
    const { values, positionals, tokens } = parseArgs({
      args: [...argv],
      options: { ...options, ...own },
      allowPositionals: true,
      allowNegative: true,
      tokens: true,
    })
    const names = tokens.flatMap((token) =>
      token.kind === 'option' ? [token.name.replace(/^no-/u, '')] : [],
    )
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined) throw new ConfigError(`--${twice} is given twice`)
    return { options: values, positionals }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const message = error instanceof Error ? error.message : 'the command line cannot be read'
    const [, unknown] = /^Unknown option '--([^']+)'/u.exec(message) ?? []
    if (unknown === undefined) throw new ConfigError(message)
    throw new ConfigError(
      unknownName(
        'option',
        `--${unknown}`,
        [...settingNames, ...Object.keys(own)].map((name) => `--${name}`),
      ),
    )
  }
}
