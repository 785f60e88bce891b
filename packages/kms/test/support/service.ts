/** A whole service in memory, with what tests need around it. */

import { readFileSync } from 'node:fs'

import { DataKey, encodeStanza, inspect, parseStanza, wrapDataKey } from '@longhold/core'
import type { ContextInput, Recipient, Stanza } from '@longhold/core'
import { KmsClient, kmsRecipient, permissions } from '@longhold/core/kms'
import type { Permission } from '@longhold/core/kms'
import { onTestFinished } from 'vitest'

import { createApp } from '../../src/http/app.ts'
import type { AppOptions } from '../../src/http/app.ts'
import type { App, LogEntry } from '../../src/http/env.ts'
import type { SharedOptions } from '../../src/http/shared.ts'
import { ServiceGate } from '../../src/server/gate.ts'
import { slotOpeners } from '../../src/server/slot-openers.ts'
import type { AuditReport } from '../../src/service/audit-verify.ts'
import { prepareService } from '../../src/service/beginning.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { OwnKeys } from '../../src/service/own-keys.ts'
import type { Caller } from '../../src/service/policy.ts'
import { openRoot } from '../../src/service/root-opening.ts'
import { RowMacs } from '../../src/service/row-mac.ts'
import { Service, verifyAuditOf } from '../../src/service/service.ts'
import type { OpenOptions } from '../../src/service/service.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { offline } from './backups.ts'
import { MemoryOpener } from './memory-opener.ts'

export interface TestService {
  readonly service: Service
  readonly store: KeyStore
  readonly opener: MemoryOpener
  readonly adminToken: string
  readonly app: App
  readonly logged: LogEntry[]
  /** May do everything. */
  readonly admin: Caller
  /** A client that calls the app directly. */
  client(token?: string): KmsClient
  /** A token with these permissions, for these keys. */
  token(permissions: readonly Permission[], keys?: readonly string[]): Promise<string>
  /** Moves the service's clock. */
  advance(ms: number): void
  /** Sets the service's clock, as somebody might: the time that passed does not account for it. */
  jump(ms: number): void
  /** Another process on the same database, with the same clock. */
  second(): Promise<Service>
  readonly verifyAudit: () => Promise<AuditReport>
  /** Turns new requests away. */
  drain(): void
}

export interface TestServiceOptions {
  /** Default: for `offline`. */
  readonly backups?: OpenOptions['backups']
  /** Default: 0; null: the log is kept for ever. */
  readonly auditRetentionMs?: number | null
  readonly store?: KeyStore
  readonly auditDeadlineMs?: number
  /** Default: 1. */
  readonly minSlots?: number
  /** Default: false, and the first token does everything. */
  readonly isBootstrap?: boolean
  /** Names of keys to begin with. */
  readonly keys?: readonly string[]
  /** Puts something between the service and its store, once it is initialised. */
  readonly between?: (store: KeyStore) => KeyStore
  readonly limits?: SharedOptions
  readonly idempotency?: OpenOptions['idempotency']
  /** Called with what is to be done at the end; default: of the test. */
  readonly onEnd?: (close: () => Promise<void>) => void
}

export async function startTestService(options: TestServiceOptions = {}): Promise<TestService> {
  const { store: inner = new MemoryStore(), keys = [], auditDeadlineMs, between = (one) => one } = options
  const opener = new MemoryOpener()
  let aheadMs = 0
  let jumpedMs = 0
  const now = () => Date.now() + aheadMs + jumpedMs
  const steadyMs = () => performance.now() + aheadMs
  const { beginning, write } = await prepareService({
    store: inner,
    opener,
    now,
    minSlots: options.minSlots ?? 1,
    isBootstrap: options.isBootstrap ?? false,
  })
  await write()
  const store = between(inner)
  const deadline = auditDeadlineMs === undefined ? {} : { auditDeadlineMs }
  const { onEnd = onTestFinished, backups = { recipients: [offline.recipient] } } = options
  const open = async (): Promise<Service> => {
    const auditRetentionMs = options.auditRetentionMs === null ? undefined : (options.auditRetentionMs ?? 0)
    const { idempotency } = options
    const more = { backups, auditRetentionMs, idempotency, ...deadline }
    const opened = await Service.open({ store, opener, now, steadyMs, ...more })
    onEnd(() => opened.close())
    return opened
  }
  const service = await open()
  const logged: LogEntry[] = []
  let isDraining = false
  const app = await appOf(service, {
    log: (entry) => logged.push(entry),
    isDraining: () => isDraining,
    limits: options.limits,
  })
  const { adminToken } = beginning
  const principal = await service.tokens.authenticate(adminToken)
  const admin = { principal, requestId: 'test', permission: null }
  for (const key of keys) await service.keys.create(admin, { key })
  return {
    service,
    store,
    opener,
    adminToken,
    app,
    logged,
    admin,
    client: (token = adminToken) =>
      new KmsClient({
        url: 'http://127.0.0.1:1',
        token,
        fetch: async (input, init) => await app.request(input, init),
      }),
    async token(wanted, only) {
      const grant = { principal: null, permissions: wanted, keys: only ?? null, expiresAt: null }
      return (await service.tokens.create(admin, { name: 'test', ...grant })).text
    },
    advance: (ms) => void (aheadMs += ms),
    jump: (ms) => void (jumpedMs += ms),
    second: open,
    verifyAudit: () => verifyAuditOf({ store, opener }),
    drain: () => void (isDraining = true),
  }
}

/** A service over HTTP, without a listener. */
export async function appOf(
  service: Service,
  options: Partial<Pick<AppOptions, 'log' | 'isDraining' | 'limits'>> = {},
): Promise<App> {
  const gate = new ServiceGate({
    slots: async () => [],
    open: async () => service,
    accept: async () => undefined,
  })
  await gate.unsealWith(new MemoryOpener())
  return createApp({
    log: () => undefined,
    isDraining: () => false,
    ...options,
    service,
    gate,
    openers: slotOpeners(undefined),
    mayUnseal: false,
  })
}

/** What only the service itself has: for rows that vouch for themselves and are wrong all the same. */
export async function rowMacsOf({ store, opener }: Pick<TestService, 'store' | 'opener'>): Promise<RowMacs> {
  const { root } = await openRoot(opener, store)
  const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
  try {
    return new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
  } finally {
    ownKeys.close()
    root.close()
  }
}

/** Everything there is to be allowed but these. */
export function allBut(...without: readonly Permission[]): Permission[] {
  return permissions.filter((permission) => !without.includes(permission))
}

/** A data key wrapped for keys of the service, and other recipients. */
export async function wrapFor(
  client: KmsClient,
  keys: readonly string[],
  options: { others?: readonly Recipient[]; context?: ContextInput } = {},
): Promise<{ dataKey: DataKey; wrappedKey: Uint8Array; stanza: Stanza }> {
  const dataKey = DataKey.generate()
  const ours = await Promise.all(keys.map((key) => kmsRecipient(client, key)))
  const wrappedKey = await wrapDataKey(dataKey, {
    recipients: [...ours, ...(options.others ?? [])],
    keyContext: options.context ?? {},
  })
  return { dataKey, wrappedKey, stanza: stanzaOf(wrappedKey, 0) }
}

/** The stanza at this place of a wrapped key. */
export function stanzaOf(wrappedKey: Uint8Array, index: number): Stanza {
  const { stanzas } = inspect(wrappedKey)
  // Magic and version, key id, count (SPEC §5).
  let at = 4 + 16 + 1
  for (const { bytes } of stanzas.slice(0, index)) at += 2 + bytes
  const bytes = stanzas[index]?.bytes ?? 0
  return parseStanza(wrappedKey.slice(at + 2, at + 2 + bytes))
}

export { encodeStanza }

export function hexOf(dataKey: { use<T>(read: (bytes: Uint8Array) => T): T }): string {
  return dataKey.use((bytes) => Buffer.from(bytes).toString('hex'))
}

export function readToken(path: string): string {
  return readFileSync(path, 'utf8').trim()
}
