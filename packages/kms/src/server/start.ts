/** Puts the rooms together: store, slot, service, HTTP. */

import { setTimeout } from 'node:timers/promises'

import type { InitRequest } from '@longhold/core/kms'

import { listenOnSocket } from '../http/admin-socket.ts'
import type { Log } from '../http/env.ts'
import { defaultLimits } from '../http/limits.ts'
import type { ConnectionLimits } from '../http/limits.ts'
import { listen } from '../http/listen.ts'
import { Metrics } from '../http/metrics.ts'
import type { SharedOptions } from '../http/shared.ts'
import type { Refusal, TlsSettings } from '../http/tls.ts'
import { KeyFile } from '../seal/key-file.ts'
import { acceptRollback } from '../service/accept-rollback.ts'
import type { Rollback } from '../service/accept-rollback.ts'
import type { CheckpointSettings } from '../service/checkpoints.ts'
import { DatabaseClock } from '../service/database-clock.ts'
import { ServiceError } from '../service/errors.ts'
import type { JoinFrom } from '../service/joining.ts'
import type { KeyLifeSettings } from '../service/key-life.ts'
import { everyRow } from '../service/key-store.ts'
import type { KeyStore } from '../service/key-store.ts'
import { clusterOf } from '../service/root-opening.ts'
import type { SlotRow } from '../service/rows.ts'
import { Service } from '../service/service.ts'
import type { SlotOpener } from '../service/slot-opener.ts'
import { AnchorFile } from '../store/anchor-file.ts'
import { CheckpointFolder, readCheckpointLines } from '../store/checkpoint-folder.ts'
import { backupsOf } from './backups.ts'
import type { BackupConfig } from './backups.ts'
import { ServiceGate } from './gate.ts'
import { handlerOf } from './handlers.ts'
import type { HandlerOptions } from './handlers.ts'
import { initStore, makeDirectory, planInit } from './init.ts'
import { makeDatabase, notInitialised, openDatabase } from './open-store.ts'
import { resolvePaths } from './paths.ts'
import type { ServicePaths } from './paths.ts'
import { refusalLog } from './refusal-log.ts'
import { slotOpeners } from './slot-openers.ts'
import type { SealService } from './slot-openers.ts'
import { readTlsFiles } from './tls-files.ts'
import type { TlsFiles } from './tls-files.ts'
import { openUnattended } from './unattended.ts'
import { upkeepLog } from './upkeep-log.ts'

/** Where a service has its files and listens. */
export interface ServiceConfig extends ServicePaths {
  /** Default: 127.0.0.1. */
  readonly host?: string | undefined
  /** Default: 8420; 0: any that is free. */
  readonly port?: number | undefined
  /** Where each checkpoint is copied to, and how often there is one; default: nowhere, one an hour. */
  readonly checkpointFolder?: string | undefined
  readonly checkpointEveryMs?: number | undefined
  /** For a node without an anchor: a checkpoint or a folder of them, and the fingerprint of who signed it. */
  readonly join?: { readonly path: string; readonly fingerprint: string } | undefined
  /** How old entries of the audit log have to be before they can be pruned; default: it is kept for ever. */
  readonly auditRetentionMs?: number | undefined
  /** Who can open backups, and where the service writes some itself; default: there are none. */
  readonly backups?: BackupConfig | undefined
  /** Serves plain HTTP beyond this machine too: for a TLS proxy in front, and nothing else. */
  readonly plainHttpAnywhere?: boolean | undefined
  /** Speaks TLS 1.3 with X25519MLKEM768 preferred. Default: plain HTTP, on this machine only. */
  readonly tls?:
    | (TlsFiles & {
        /** Refuses clients without a post-quantum group; default false. */
        readonly requirePostQuantum?: boolean | undefined
      })
    | undefined
  /** Where `/metrics` is served, in plain HTTP. Default: nowhere. */
  readonly metrics?: { readonly host: string; readonly port: number } | undefined
  /** How long anybody may take, and how many may come. */
  readonly limits?: Partial<ConnectionLimits> | undefined
  /** How often one token may ask, and what all requests may take together. */
  readonly sharing?: SharedOptions | undefined
  /** How long the end is announced by `draining` before it begins; default 0. */
  readonly drainDelayMs?: number | undefined
  /** How long the end waits for answers under way; default 10,000. */
  readonly drainTimeoutMs?: number | undefined
  /** Another key service that holds a slot. */
  readonly sealService?: SealService | undefined
  /** Serves unsealing beyond the admin socket too; default false. */
  readonly unsealAnywhere?: boolean | undefined
  /** Where there is no service yet, waits to be set up on its admin socket; default false: that is an error. */
  readonly awaitInit?: boolean | undefined
  /** For tests: how soon a destruction may be, and how often the service looks. Default: seven days, half a minute. */
  readonly testing?: Pick<KeyLifeSettings, 'shortestDestroyWaitMs' | 'upkeepEveryMs'> | undefined
  /** Default: nothing is logged. */
  readonly log?: Log | undefined
}

/** A service that answers. */
export interface RunningService {
  readonly url: string
  /** Of `/metrics`, where it is served. */
  readonly metricsUrl: string | undefined
  /** Whether it began sealed, and waits for somebody to unseal it. */
  readonly isSealed: boolean
  /** Whether it waits for somebody to set it up. */
  readonly awaitsInit: boolean
  /** Answers what is under way, then stops. Called again, it does not wait for `drainDelayMs`. */
  close(): Promise<void>
}

export const defaultPort = 8420

/**
 * Starts a service that was set up before.
 *
 * @throws ServiceError `not_initialised`, `wrong_key_file`, `wrong_secret`, `slot_unavailable`, `database_in_use`, `newer_database`, `not_loopback`,
 * `address_in_use`, `bad_config`, `storage_unavailable`, `audit_unavailable`, `integrity_violation`.
 */
export async function startService(config: ServiceConfig): Promise<RunningService> {
  const { host = '127.0.0.1', port = defaultPort, log = () => undefined } = config
  const tls = config.tls === undefined ? undefined : tlsOf(config.tls)
  for (const plain of [
    ...(tls === undefined ? [host] : []),
    ...(config.metrics ? [config.metrics.host] : []),
  ]) {
    if (config.plainHttpAnywhere !== true) requireLoopback(plain)
  }
  const paths = resolvePaths(config)
  const awaitsInit = config.awaitInit === true
  if (awaitsInit) makeDirectory(paths.dataDir)
  const store = await (awaitsInit ? makeDatabase(paths, log) : openDatabase(paths, log))
  const slots = () => slotsOf(store, awaitsInit)
  const anchor = paths.anchor === undefined ? undefined : new AnchorFile(paths.anchor)
  const onFault = ({ code, message }: ServiceError): void => log({ level: 'error', message, code })
  let clock: DatabaseClock | undefined
  const open = async (opener: SlotOpener, failures: number): Promise<Service> => {
    const onUpkeep = upkeepLog(log)
    clock ??= await DatabaseClock.open(store)
    const service = await Service.open({
      now: clock.now,
      ...config.testing,
      store,
      opener,
      failures,
      anchor,
      join: await joinFrom(config),
      checkpoints: checkpointsOf(config, log),
      auditRetentionMs: config.auditRetentionMs,
      backups: config.backups && backupsOf(config.backups, log),
      onFault,
      onUpkeep,
    })
    // Where one was begun, and the process ended.
    if (service.fault === undefined) service.rootRotation.runInBackground()
    return service
  }
  const openers = slotOpeners(config.sealService)
  const accept = async (opener: SlotOpener, epochs: string | undefined): Promise<Rollback | undefined> => {
    if (anchor === undefined) throw noAnchor()
    clock ??= await DatabaseClock.open(store)
    return await acceptRollback({ store, opener, anchor, now: clock.now }, epochs)
  }
  const gate = new ServiceGate({
    slots,
    open,
    accept,
    init: awaitsInit ? (request) => initFor(request, store, config) : undefined,
    sealService: config.sealService,
  })
  const metrics = new Metrics()
  const listeners: { close(graceMs: number): Promise<void> }[] = []
  let isDraining = false
  const hurry = new AbortController()
  const stop = async (delayMs: number): Promise<void> => {
    isDraining = true
    log({ level: 'info', message: 'stopping' })
    // Whoever balances sees it in /readyz and asks others, before connections are refused.
    if (delayMs > 0) await setTimeout(delayMs, undefined, hurry).catch(() => undefined)
    const graceMs = config.drainTimeoutMs ?? 10_000
    await Promise.all(listeners.map((listener) => listener.close(graceMs)))
    await gate.close()
    clock?.close()
    await store.close()
    log({ level: 'info', message: 'stopped' })
  }
  try {
    const kinds = new Set((await slots()).map(({ kind }) => kind))
    const unattended = {
      ...paths,
      keyFileIsGiven: config.keyFile !== undefined,
      sealService: config.sealService,
    }
    const isOpen = await openUnattended(kinds, unattended, (opener) => gate.unsealWith(opener))
    const frame: HandlerOptions = {
      log,
      limits: config.sharing,
      isDraining: () => isDraining,
      onAnswered: (answered) => metrics.answered(answered),
    }
    if (paths.adminSocket !== undefined) {
      listeners.push(
        await listenOnSocket(
          handlerOf(gate, openers, frame, { mayUnseal: true, mayInit: true }),
          paths.adminSocket,
        ),
      )
    }
    const logRefused = refusalLog(log)
    const limits = { ...defaultLimits, ...config.limits }
    const onRefused = (refusal: Refusal): void => {
      metrics.refused(refusal)
      logRefused(refusal)
    }
    const handler = handlerOf(gate, openers, frame, {
      mayUnseal: config.unsealAnywhere === true,
      mayInit: false,
    })
    const listener = await listen(handler, { host, port, tls, limits, onRefused })
    listeners.push(listener)
    metrics.gauges({
      connections: () => listener.connections(),
      isSealed: () => gate.service === undefined,
      isDraining: () => isDraining,
      isFrozen: () => gate.service?.fault !== undefined,
    })
    const forMetrics = config.metrics && (await listen(metrics.app(), { ...config.metrics, limits }))
    if (forMetrics !== undefined) listeners.push(forMetrics)
    log({ level: 'info', message: isOpen ? 'listening' : 'listening, sealed', url: listener.url })
    let closing: Promise<void> | undefined
    return {
      url: listener.url,
      metricsUrl: forMetrics && `${forMetrics.url}/metrics`,
      isSealed: !isOpen,
      awaitsInit: kinds.size === 0,
      close() {
        if (closing !== undefined) hurry.abort()
        return (closing ??= stop(config.drainDelayMs ?? 0))
      },
    }
  } catch (error) {
    await stop(0)
    throw error
  }
}

function tlsOf({ requirePostQuantum = false, ...files }: NonNullable<ServiceConfig['tls']>): TlsSettings {
  const { certificate, privateKey } = readTlsFiles(files)
  return { certificate, privateKey, requirePostQuantum }
}

async function joinFrom({ join }: ServiceConfig): Promise<JoinFrom | undefined> {
  if (join === undefined) return undefined
  return { lines: await readCheckpointLines(join.path, 1), fingerprint: join.fingerprint }
}

function checkpointsOf(config: ServiceConfig, log: Log): CheckpointSettings {
  const { checkpointFolder, checkpointEveryMs: everyMs } = config
  return {
    copies: checkpointFolder === undefined ? undefined : new CheckpointFolder(checkpointFolder),
    everyMs,
    onFailure(error) {
      const { code, message } =
        error instanceof ServiceError ? error : { code: 'internal', message: 'a checkpoint failed' }
      log({ level: 'error', message, code })
    },
  }
}

async function initFor(request: InitRequest, store: KeyStore, config: ServiceConfig) {
  const { production, single_slot: singleSlot, first_key: firstKey } = request
  try {
    const made = await initStore(store, planInit({ ...config, production, singleSlot, firstKey }))
    const answer = {
      cluster: made.clusterId,
      database: made.database,
      key_file: made.keyFile,
      token_file: made.tokenFile,
      fingerprint: made.fingerprint,
      min_slots: made.minSlots,
      recipient: made.firstKey?.recipient ?? null,
    }
    return { answer, opener: KeyFile.read(made.keyFile) }
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === 'storage_unavailable') throw error
    // To whoever asks on the socket, what is wrong with files and settings is a state of the service.
    throw new ServiceError(
      'invalid_state',
      error.message,
      error.hint === undefined ? {} : { hint: error.hint },
    )
  }
}

/** The kinds of slots there are, and what each holds. */
async function slotsOf(store: KeyStore, mayBeNone: boolean): Promise<SlotRow[]> {
  if (!mayBeNone && (await clusterOf(store)) === undefined) throw notInitialised('in this database')
  return await everyRow(store, 'slots')
}

function noAnchor(): ServiceError {
  return new ServiceError('invalid_state', 'no anchor is configured, so there is no rollback to accept', {
    hint: 'restart the service: what it knew of a newer database was in its memory alone',
  })
}

/** Data keys travel in the answers, in the clear. */
function requireLoopback(host: string): void {
  if (/^(localhost|127(\.\d{1,3}){3}|::1)$/u.test(host)) return
  throw new ServiceError('not_loopback', `${host} is not this machine alone, and this is plain HTTP`, {
    hint: 'give certificate and key for TLS, or listen on 127.0.0.1; behind a TLS proxy only, allow plain HTTP anywhere',
  })
}
