#!/usr/bin/env node
/** The program `longhold-kms`. Answers on stdout, log and errors on stderr. */

import { pino } from 'pino'

import { ConfigError, readConfig, usage } from './config.ts'
import type { Config } from './config.ts'
import type { Log } from './http/env.ts'
import { initService } from './server/init.ts'
import { startService, verifyAudit } from './server/start.ts'
import { ServiceError } from './service/errors.ts'

// Whatever this process writes is its owner's alone.
process.umask(0o077)

const commands: Readonly<Record<Config['command'], (config: Config) => number | Promise<number>>> = {
  help: () => print(usage),
  init,
  serve,
  'verify-audit': verify,
}

/** Characters of log that wait for a reader; later lines are lost. */
const maxLogBacklog = 4 * 1024 * 1024
/** A tenth of a second apart. */
const maxLastRetries = 10
const maxFlushMs = 2000

/** Codes of what may be over at the next try. */
const passing: ReadonlySet<string> = new Set([
  'database_in_use',
  'address_in_use',
  'storage_unavailable',
  'audit_unavailable',
])

try {
  const config = readConfig(process.argv.slice(2))
  process.exitCode = await commands[config.command](config)
} catch (error) {
  process.exitCode = report(error)
}

async function verify(config: Config): Promise<number> {
  const { ok, runs, entries, faults, newest } = await verifyAudit(config)
  print(`${entries} entries in ${runs} chains: ${ok ? 'whole and unaltered' : 'NOT as they were written'}`)
  for (const fault of faults) print(fault)
  if (newest !== undefined) print(`newest chain ${newest.run} ends at ${newest.seq}, ${newest.mac}`)
  return ok ? 0 : 1
}

async function init(config: Config): Promise<number> {
  const { database, keyFile, keyFileIsNew, tokenFile, firstKey } = await initService(config)
  print(`database   ${database}`)
  print(`key file   ${keyFile} (${keyFileIsNew ? 'new' : 'was there'}; back it up apart from the database)`)
  print(`token file ${tokenFile} (may do everything: make narrower tokens for applications)`)
  if (firstKey !== undefined) print(`key        ${firstKey.key} ${firstKey.recipient}`)
  return 0
}

async function serve(config: Config): Promise<number> {
  let retries = Number.POSITIVE_INFINITY
  // Opened by Node, stderr does not block: where nobody reads it, the log is given up in the end, not the service.
  const destination = pino.destination({
    dest: process.stderr.fd,
    sync: false,
    maxLength: maxLogBacklog,
    retryEAGAIN: () => retries-- > 0,
  })
  // A log that cannot be written ends nothing: what must be on record is in the audit log.
  destination.on('error', () => undefined)
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  }
  const logger = pino(options, destination)
  const log: Log = ({ level, message, ...fields }) => logger[level](fields, message)
  const service = await startService({ ...config, log })
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  print(`listening on ${service.url}`)
  await stopped
  await service.close()
  retries = maxLastRetries
  await new Promise<void>((resolve) => {
    // Then thrown away: at the end of a process pino would try for ever to write it.
    const patience = setTimeout(() => destination.destroy(), maxFlushMs)
    destination.once('close', () => {
      clearTimeout(patience)
      resolve()
    })
    destination.end()
  })
  return 0
}

function print(line: string): number {
  process.stdout.write(`${line}\n`)
  return 0
}

/** @returns The exit code: 2 wrong call or configuration, 4 something unreachable, 3 unforeseen. */
function report(error: unknown): number {
  if (error instanceof ConfigError) {
    return complain(2, error.message, 'longhold-kms help lists commands and options')
  }
  if (error instanceof ServiceError)
    return complain(passing.has(error.code) ? 4 : 2, error.message, error.hint)
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return complain(3, `internal error: ${text}`, 'please report it')
}

function complain(exitCode: number, message: string, hint: string | undefined): number {
  process.stderr.write(`longhold-kms: error: ${message}\n`)
  if (hint !== undefined) process.stderr.write(`longhold-kms: hint: ${hint}\n`)
  return exitCode
}
