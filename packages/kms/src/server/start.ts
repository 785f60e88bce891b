/** Puts the rooms together: store, slot, service, HTTP. */

import { existsSync } from 'node:fs'

import { createApp } from '../http/app.ts'
import type { Log } from '../http/env.ts'
import { listen } from '../http/listen.ts'
import { KeyFile } from '../seal/key-file.ts'
import type { AuditReport } from '../service/audit-verify.ts'
import { ServiceError } from '../service/errors.ts'
import { Service, verifyAuditOf } from '../service/service.ts'
import { SqliteStore } from '../store/sqlite/store.ts'
import { resolvePaths } from './paths.ts'
import type { ServicePaths } from './paths.ts'

/** Where a service has its files and listens. */
export interface ServiceConfig extends ServicePaths {
  /** Default: 127.0.0.1. */
  readonly host?: string | undefined
  /** Default: 8420; 0: any that is free. */
  readonly port?: number | undefined
  /** Serves plain HTTP beyond this machine too: for a TLS proxy in front, and nothing else. */
  readonly plainHttpAnywhere?: boolean | undefined
  /** Default: nothing is logged. */
  readonly log?: Log | undefined
}

/** A service that answers. */
export interface RunningService {
  readonly url: string
  /** Answers what is under way, then stops. */
  close(): Promise<void>
}

export const defaultPort = 8420
/** How long `close` waits for answers under way. */
const graceMs = 10_000

/**
 * Starts a service that was set up before.
 *
 * @throws ServiceError `not_initialised`, `wrong_key_file`, `database_in_use`, `newer_database`, `not_loopback`,
 * `address_in_use`, `bad_config`, `storage_unavailable`, `audit_unavailable`, `integrity_violation`.
 */
export async function startService(config: ServiceConfig): Promise<RunningService> {
  const { host = '127.0.0.1', port = defaultPort, log = () => undefined } = config
  if (config.plainHttpAnywhere !== true) requireLoopback(host)
  const opened = await openService(config)
  const { service } = opened
  let isDraining = false
  try {
    const listener = await listen(createApp({ service, log, isDraining: () => isDraining }), { host, port })
    log({ level: 'info', message: 'listening', url: listener.url })
    let closing: Promise<void> | undefined
    const stop = async (): Promise<void> => {
      isDraining = true
      log({ level: 'info', message: 'stopping' })
      await listener.close(graceMs)
      await opened.close()
      log({ level: 'info', message: 'stopped' })
    }
    return {
      url: listener.url,
      close: () => (closing ??= stop()),
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}

/**
 * Checks the whole audit log of a service that is not running.
 *
 * @throws ServiceError as `startService`.
 */
export async function verifyAudit(paths: ServicePaths): Promise<AuditReport> {
  const { store, rootKey } = await openFiles(paths)
  try {
    return await verifyAuditOf({ store, rootKey })
  } finally {
    rootKey.close()
    await store.close()
  }
}

async function openService(paths: ServicePaths): Promise<{ service: Service; close(): Promise<void> }> {
  const { store, rootKey } = await openFiles(paths)
  try {
    const service = await Service.open({ store, rootKey })
    return {
      service,
      async close() {
        await service.close()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  } finally {
    rootKey.close()
  }
}

async function openFiles(paths: ServicePaths): Promise<{ store: SqliteStore; rootKey: KeyFile }> {
  const { dataDir, database, keyFile } = resolvePaths(paths)
  if (!existsSync(database)) {
    throw new ServiceError('not_initialised', `there is no key service in ${dataDir}`, {
      hint: 'initialise it once, or give another data directory',
    })
  }
  const store = SqliteStore.open({ path: database })
  try {
    return { store, rootKey: KeyFile.read(keyFile) }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Data keys travel in the answers, in the clear. */
function requireLoopback(host: string): void {
  if (/^(localhost|127(\.\d{1,3}){3}|::1)$/u.test(host)) return
  throw new ServiceError('not_loopback', `${host} is not this machine alone, and this is plain HTTP`, {
    hint: 'listen on 127.0.0.1; or, behind a TLS proxy only, allow plain HTTP anywhere explicitly',
  })
}
