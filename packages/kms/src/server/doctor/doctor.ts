/** Looks at a service from outside, as its operator could: files, process, TLS, what is on record. Opens no key. */

import { existsSync } from 'node:fs'

import type { DatabaseFacts } from '../../service/database-facts.ts'
import { inspectPostgres } from '../../store/postgres/inspect.ts'
import { inspectDatabase } from '../../store/sqlite/inspect.ts'
import { notInitialised } from '../open-store.ts'
import { resolvePaths } from '../paths.ts'
import type { ResolvedPaths } from '../paths.ts'
import type { ServiceConfig } from '../start.ts'
import { examineAnchor, readAnchor } from './anchor.ts'
import { examineCheckpoints } from './checkpoints.ts'
import { examineFiles } from './files.ts'
import type { Finding } from './finding.ts'
import { examineBackups, examineClock, examineDisk, examineSlots } from './keeping.ts'
import { examineProcess, lockHolder } from './process.ts'
import { examineTls } from './tls.ts'

/** What is looked at, and what tests put in the place of the machine. */
export interface DoctorOptions {
  readonly config: ServiceConfig
  /** The configuration file, if there is one. */
  readonly configFile?: string | undefined
  /** Default: `/proc`. */
  readonly proc?: string
  /** Default: now. */
  readonly nowMs?: number
  /** PATH of the programs that are asked; default: that of this process. */
  readonly path?: string | undefined
  /** Default: 1 GiB. */
  readonly minFreeBytes?: number
  /** In place of what the database says. */
  readonly records?: DatabaseFacts
}

const defaultListen = { host: '127.0.0.1', port: 8420 }

/**
 * The service may run meanwhile, or not.
 *
 * @throws ServiceError `not_initialised`, `storage_unavailable`, `bad_config`.
 */
export async function examine(options: DoctorOptions): Promise<Finding[]> {
  const { config, configFile, proc = '/proc', nowMs = Date.now(), path = process.env['PATH'] } = options
  const paths = resolvePaths(config)
  if (paths.databaseUrl === undefined && !existsSync(paths.database)) {
    throw notInitialised(`in ${paths.dataDir}`)
  }
  // Before the database is opened, which makes files beside it where no service runs.
  const files = examineFiles({
    ...paths,
    configFile,
    tlsKeyFile: config.tls?.keyFile,
    backupRecipients: config.backups?.recipientsFile,
    backupFolder: config.backups?.folder,
  })
  const anchored = await readAnchor(paths.anchor)
  const records = options.records ?? (await factsOf(paths))
  const pid = lockHolder(proc, `${paths.database}.lock`)
  const place = {
    folder: config.checkpointFolder,
    everyMs: config.checkpointEveryMs,
    dataDir: paths.dataDir,
  }
  const { host = defaultListen.host, port = defaultListen.port } = config
  const running = pid === undefined || port === 0 ? undefined : { host, port }
  return [
    ...files,
    ...examineProcess({ proc, pid }),
    ...(await examineTls({ files: config.tls, running, nowMs })),
    examineSlots(records),
    ...examineBackups(records, nowMs),
    examineAnchor(paths.anchor, paths.dataDir, anchored, records),
    await examineCheckpoints(place, records),
    examineClock(records, nowMs, path),
    examineDisk(paths.dataDir, options.minFreeBytes ?? 2 ** 30),
  ]
}

async function factsOf({ database, databaseUrl }: ResolvedPaths): Promise<DatabaseFacts> {
  return databaseUrl === undefined ? inspectDatabase(database) : await inspectPostgres(databaseUrl)
}

/** One line for each finding, and one for what to do. Never throws. */
export function findingsText(findings: readonly Finding[]): string {
  return findings
    .flatMap(({ level, check, message, next }) => [
      `${level.padEnd(8)} ${check.padEnd(11)} ${message}`,
      ...(next === undefined ? [] : [`${' '.repeat(21)}next: ${next}`]),
    ])
    .join('\n')
}

/** Whether there is something to do. Never throws. */
export function needsWork(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === 'warning' || level === 'error')
}
