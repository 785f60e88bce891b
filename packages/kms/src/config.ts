/** Command line and environment, read once. Nothing else sees `process.env`. */

import { parseArgs } from 'node:util'

export interface Config {
  readonly command: 'init' | 'serve' | 'verify-audit' | 'help'
  readonly dataDir: string
  readonly keyFile: string | undefined
  readonly tokenFile: string | undefined
  readonly firstKey: string | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly plainHttpAnywhere: boolean
  readonly logLevel: 'info' | 'error' | 'silent'
}

/** A wrong call. The message is for people. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export const usage = `longhold-kms: a key service with hybrid post-quantum keys

  longhold-kms init          make key file, database and first token, once
  longhold-kms serve         answer requests until SIGTERM or SIGINT
  longhold-kms verify-audit  check the audit log of a service that is stopped

Each option, and the variable that sets it where the option is not given:
  --data-dir DIR         LONGHOLD_KMS_DATA_DIR    the database and, unless said otherwise, the files below
  --key-file FILE        LONGHOLD_KMS_KEY_FILE    default DIR/root.key
  --token-file FILE      LONGHOLD_KMS_TOKEN_FILE  init: where the first token goes; default DIR/admin.token
  --first-key NAME                                init: a key to begin with
  --listen HOST:PORT     LONGHOLD_KMS_LISTEN      serve: default 127.0.0.1:8420; port 0: any that is free
  --plain-http-anywhere                           serve: behind a TLS proxy only
  --log LEVEL            LONGHOLD_KMS_LOG         serve: info, error or silent; JSON lines on stderr`

const commands = ['init', 'serve', 'verify-audit', 'help'] as const
const logLevels = ['info', 'error', 'silent'] as const

/** @throws ConfigError for anything that is not known. */
export function readConfig(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Config {
  const { values, positionals } = parse(argv)
  const [word = 'help', ...rest] = positionals
  const command = values.help === true ? 'help' : commands.find((one) => one === word)
  if (command === undefined || rest.length > 0)
    throw new ConfigError(`no such command: ${positionals.join(' ')}`)
  const dataDir = values['data-dir'] ?? env['LONGHOLD_KMS_DATA_DIR']
  if (command !== 'help' && (dataDir === undefined || dataDir === '')) {
    throw new ConfigError('--data-dir is missing: where the database is, or is to be')
  }
  const level = values.log ?? env['LONGHOLD_KMS_LOG'] ?? 'info'
  const logLevel = logLevels.find((one) => one === level)
  if (logLevel === undefined) throw new ConfigError(`no such log level: ${level}`)
  return Object.freeze({
    command,
    dataDir: dataDir ?? '',
    keyFile: values['key-file'] ?? env['LONGHOLD_KMS_KEY_FILE'],
    tokenFile: values['token-file'] ?? env['LONGHOLD_KMS_TOKEN_FILE'],
    firstKey: values['first-key'],
    ...parseListen(values.listen ?? env['LONGHOLD_KMS_LISTEN']),
    plainHttpAnywhere: values['plain-http-anywhere'] ?? false,
    logLevel,
  })
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'data-dir': { type: 'string' },
        'key-file': { type: 'string' },
        'token-file': { type: 'string' },
        'first-key': { type: 'string' },
        listen: { type: 'string' },
        'plain-http-anywhere': { type: 'boolean' },
        log: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : 'the command line cannot be read')
  }
}

function parseListen(text: string | undefined): Pick<Config, 'host' | 'port'> {
  if (text === undefined) return { host: undefined, port: undefined }
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/u.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535) {
    throw new ConfigError(`--listen ${text}: not HOST:PORT, as in 127.0.0.1:8420 or [::1]:8420`)
  }
  return { host, port: Number(port) }
}
