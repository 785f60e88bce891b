#!/usr/bin/env node
/** The program `longhold-kms`. Answers on stdout, log and errors on stderr. */

import { readConfig, usage } from './config.ts'
import type { Config } from './config.ts'
import { ConfigError } from './config/config-error.ts'
import { configText } from './config/config-text.ts'
import { acceptRollback } from './server/accept-rollback.ts'
import { checkConfig, serviceConfigOf } from './server/configured.ts'
import { examine, findingsText, needsWork } from './server/doctor/doctor.ts'
import { initService } from './server/init.ts'
import { openLogger } from './server/logger.ts'
import { startService } from './server/start.ts'
import { verifyAudit } from './server/verify-audit.ts'
import { ServiceError } from './service/errors.ts'

// Whatever this process writes is its owner's alone.
process.umask(0o077)

const commands: Readonly<Record<Config['command'], (config: Config) => number | Promise<number>>> = {
  help: () => print(usage()),
  init,
  serve,
  'verify-audit': verify,
  'accept-rollback': accept,
  doctor,
}

/** Codes of what may be over at the next try. */
const passing: ReadonlySet<string> = new Set([
  'database_in_use',
  'address_in_use',
  'storage_unavailable',
  'slot_unavailable',
  'audit_unavailable',
])

try {
  const config = readConfig(process.argv.slice(2))
  process.exitCode = await (config.checkOnly ? check(config) : commands[config.command](config))
} catch (error) {
  process.exitCode = report(error)
}

async function verify(config: Config): Promise<number> {
  const { ok, runs, entries, faults, newest } = await verifyAudit(serviceConfigOf(config.values))
  print(`${entries} entries in ${runs} chains: ${ok ? 'whole and unaltered' : 'NOT as they were written'}`)
  for (const fault of faults) print(fault)
  if (newest !== undefined) print(`newest chain ${newest.run} ends at ${newest.seq}, ${newest.mac}`)
  return ok ? 0 : 1
}

async function accept({ values }: Config): Promise<number> {
  const accepted = await acceptRollback({ ...serviceConfigOf(values), epochs: values.epochs })
  if (accepted === undefined)
    return print('there is nothing to accept: the database is not older than its anchor')
  return print(`accepted: ${accepted.what}`)
}

async function init(config: Config): Promise<number> {
  const { values } = config
  const { production = false } = values
  const made = await initService({
    ...serviceConfigOf(values),
    firstKey: values['first-key'],
    production,
    singleSlot: values['single-slot'],
  })
  const { database, keyFile, keyFileIsNew, tokenFile, firstKey } = made
  print(`database   ${database}`)
  print(`key file   ${keyFile} (${keyFileIsNew ? 'new' : 'was there'}; back it up apart from the database)`)
  print(
    production
      ? `token file ${tokenFile} (makes one other token, within an hour: longhold kms tokens create)`
      : `token file ${tokenFile} (may do everything: make narrower tokens for applications)`,
  )
  print(`identity   ${made.fingerprint} (what clients pin)`)
  print(
    made.minSlots > 1
      ? 'slots      one of two: there is no key before another one (longhold kms slots add)'
      : 'slots      one, the key file: whoever loses it has lost every key (longhold kms slots add makes another)',
  )
  if (firstKey !== undefined) print(`key        ${firstKey.key} ${firstKey.recipient}`)
  return 0
}

function check(config: Config): number {
  checkConfig(config.values)
  return print(configText(config, config.file))
}

async function serve({ values }: Config): Promise<number> {
  const config = serviceConfigOf(values)
  const logger = openLogger(values.log ?? 'info')
  const service = await startService({ ...config, log: logger.log })
  const stopped = new Promise<void>((resolve, reject) => {
    // A second one does not wait for the delay before the end.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => void service.close().then(resolve, reject))
    }
  })
  print(`listening on ${service.url}`)
  if (service.metricsUrl !== undefined) print(`metrics on ${service.metricsUrl}`)
  if (service.awaitsInit) print('not initialised: waits for longhold kms init, on its admin socket')
  else if (service.isSealed) print('sealed: waits for somebody to unseal it')
  await stopped
  await logger.close()
  return 0
}

async function doctor({ values, file }: Config): Promise<number> {
  const findings = await examine({ config: serviceConfigOf(values), configFile: file })
  print(findingsText(findings))
  return needsWork(findings) ? 1 : 0
}

function print(line: string): number {
  process.stdout.write(`${line}\n`)
  return 0
}

/** @returns The exit code: 2 wrong call or configuration, 4 something unreachable, 3 unforeseen. */
function report(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const problem of error.problems) process.stderr.write(`longhold-kms: error: ${problem}\n`)
    process.stderr.write('longhold-kms: hint: longhold-kms help lists commands and options\n')
    return 2
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
