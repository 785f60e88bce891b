/** Whose files are, and who else may read or change them. */

import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { dirname, join } from 'node:path'

import type { ResolvedPaths } from '../paths.ts'
import { failure, ok, unknown, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface Files extends ResolvedPaths {
  readonly configFile: string | undefined
  /** Whoever changes it opens the backups to come. */
  readonly backupRecipients: string | undefined
  readonly backupFolder: string | undefined
  readonly tlsKeyFile: string | undefined
}

const check = 'files'
const readByOthers = 0o077
const writtenByOthers = 0o022

export function examineFiles(files: Files): Finding[] {
  if (process.platform === 'win32') return [unknown(check, 'modes of files are not looked at on Windows')]
  const { dataDir, database, keyFile, tokenFile, adminSocket, anchor, tlsKeyFile } = files
  const secret = [
    dataDir,
    database,
    `${database}-wal`,
    `${database}-shm`,
    keyFile,
    tokenFile,
    adminSocket,
    anchor,
  ]
  const findings: Finding[] = []
  let owner: number | undefined
  for (const path of [...secret, tlsKeyFile]) {
    const stats = path === undefined ? undefined : statsOf(path)
    if (path === undefined || stats === undefined) continue
    owner ??= stats.uid
    if ((stats.mode & readByOthers) !== 0) {
      const mode = stats.isDirectory() ? '700' : '600'
      findings.push(failure(check, `${path} is open to others (${modeOf(stats)})`, `chmod ${mode} ${path}`))
    }
    if (stats.uid !== owner) {
      const next = `chown ${owner} ${path}`
      findings.push(warning(check, `${path} belongs to user ${stats.uid}, the data to ${owner}`, next))
    }
  }
  for (const path of [files.configFile, files.backupRecipients, files.backupFolder]) {
    const stats = path === undefined ? undefined : statsOf(path)
    if (stats === undefined || (stats.mode & writtenByOthers) === 0) continue
    const message = `${path} may be changed by others (${modeOf(stats)})`
    findings.push(failure(check, message, `chmod go-w ${path}`))
  }
  if (statsOf(keyFile) !== undefined && dirname(keyFile) === dataDir) {
    const next = 'move the key file to another place, name it with key-file, and keep it out of the backups'
    findings.push(
      warning(check, 'the key file lies beside the database: a copy of both opens every key', next),
    )
  }
  for (const path of [tokenFile, join(dataDir, 'bootstrap.token')]) {
    if (statsOf(path) === undefined) continue
    const next = `make narrower tokens, keep this one in a safe place if it still is one, and delete ${path}`
    findings.push(warning(check, `the first token is still in ${path}`, next))
  }
  return findings.length > 0 ? findings : [ok(check, `what is in ${dataDir} is its owner's alone`)]
}

function statsOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o777).toString(8).padStart(3, '0')
}
