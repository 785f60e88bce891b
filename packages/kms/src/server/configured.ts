/** From what is configured to what the service is started with. */

import { readFileSync } from 'node:fs'

import { KmsClient } from '@longhold/core/kms'

import { ConfigError } from '../config/config-error.ts'
import type { Values } from '../config/settings.ts'
import { readBackupRecipients } from './backups.ts'
import type { ServiceConfig } from './start.ts'
import { readTlsFiles } from './tls-files.ts'

/** @throws ConfigError for a file that cannot be read, or an address that is none. */
export function serviceConfigOf(values: Values): ServiceConfig {
  const { 'data-dir': dataDir, 'tls-cert': certFile, 'tls-key': keyFile } = values
  if (dataDir === undefined) throw new ConfigError('data-dir is missing: where the database is, or is to be')
  const memory = values['body-memory']
  const hasTls = certFile !== undefined && keyFile !== undefined
  return {
    dataDir,
    keyFile: values['key-file'],
    tokenFile: values['token-file'],
    database: values.database,
    anchor: values.anchor,
    checkpointFolder: values['checkpoint-folder'],
    checkpointEveryMs: values['checkpoint-every'],
    join: joinOf(values),
    auditRetentionMs: values['audit-retention'],
    backups: backupsOf(values),
    adminSocket: values['admin-socket'],
    unsealAnywhere: values['unseal-anywhere'],
    awaitInit: values['await-init'],
    ...values.listen,
    plainHttpAnywhere: values['plain-http-anywhere'],
    tls: hasTls ? { certFile, keyFile, requirePostQuantum: values['tls-require-pq'] } : undefined,
    metrics: values['metrics-listen'],
    limits: defined({
      headersTimeoutMs: values['headers-timeout'],
      requestTimeoutMs: values['request-timeout'],
      idleTimeoutMs: values['idle-timeout'],
      maxConnections: values['max-connections'],
    }),
    sharing: {
      rateLimit: { requestsPerSecond: values['requests-per-second'] },
      bodyBudget: { totalBytes: memory === undefined ? undefined : memory * 1024 * 1024 },
    },
    drainDelayMs: values['drain-delay'],
    drainTimeoutMs: values['drain-timeout'],
    sealService: sealServiceOf(values),
  }
}

/**
 * Looks at everything that can be known of a configuration without starting anything.
 *
 * @throws ConfigError as `serviceConfigOf`; ServiceError `bad_config` for certificate and key that cannot serve.
 */
export function checkConfig(values: Values): void {
  const { tls, backups } = serviceConfigOf(values)
  if (tls !== undefined) readTlsFiles(tls)
  if (backups !== undefined) readBackupRecipients(backups.recipientsFile)
}

function backupsOf(values: Values): ServiceConfig['backups'] {
  const { 'backup-recipients': recipientsFile, 'backup-folder': folder, 'backup-every': everyMs } = values
  if (recipientsFile === undefined) return undefined
  return { recipientsFile, folder, everyMs, lifeMs: values['backup-expires'] }
}

function joinOf(values: Values): ServiceConfig['join'] {
  const { 'join-checkpoint': path, 'join-fingerprint': fingerprint } = values
  if (path === undefined && fingerprint === undefined) return undefined
  if (path === undefined || fingerprint === undefined) {
    throw new ConfigError('join-checkpoint and join-fingerprint are given together')
  }
  if (!/^[0-9a-f]{64}$/u.test(fingerprint.replaceAll(' ', '').toLowerCase())) {
    throw new ConfigError('join-fingerprint has 64 hexadecimal digits, as init printed it')
  }
  return { path, fingerprint }
}

function sealServiceOf(values: Values): ServiceConfig['sealService'] {
  const { 'seal-url': url, 'seal-token-file': tokenFile, 'seal-key': key } = values
  if (url === undefined || tokenFile === undefined || key === undefined) return undefined
  let token: string
  try {
    token = readFileSync(tokenFile, 'utf8').replace(/\r?\n$/u, '')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new ConfigError(`seal-token-file: ${tokenFile} cannot be read (${code})`)
  }
  try {
    return { client: new KmsClient({ url, token }), key }
  } catch (error) {
    throw new ConfigError(
      `seal-url, seal-token-file: ${error instanceof Error ? error.message : 'not valid'}`,
    )
  }
}

/** Without what is not given, so that defaults stand. */
function defined<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: NonNullable<T[K]> }
}
