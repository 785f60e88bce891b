/** The service whole: what routes call. Knows neither HTTP nor SQL. */

import { randomBytes } from 'node:crypto'

import { PublicKeyRecipient, toHex } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { extend } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import { AuditLog } from './audit-log.ts'
import { verifyAuditLog } from './audit-verify.ts'
import type { AuditReport } from './audit-verify.ts'
import type { ItemResult } from './batch.ts'
import { DecapsulationQueue } from './decapsulation-queue.ts'
import { ServiceError } from './errors.ts'
import { Identities } from './identities.ts'
import type { KeyStore, NewKey } from './key-store.ts'
import { Keys, newKey } from './keys.ts'
import { createOwnKeys, OwnKeys } from './own-keys.ts'
import { permissions, requirePermission } from './policy.ts'
import type { Caller } from './policy.ts'
import { rewrap } from './rewrap.ts'
import type { Rewrapped, RewrapItem } from './rewrap.ts'
import type { RootKey } from './root-key.ts'
import { createRoot, openRoot } from './root.ts'
import type { Root } from './root.ts'
import { makeToken, Tokens } from './tokens.ts'
import { unwrap } from './unwrap.ts'
import type { Unwrapped, UnwrapItem } from './unwrap.ts'

export interface ServiceOptions {
  readonly store: KeyStore
  readonly rootKey: RootKey
  readonly now?: () => number
  /** How long an answer waits for its audit entry. */
  readonly auditDeadlineMs?: number
}

/** What a new service begins with. */
export interface Beginning {
  readonly clusterId: string
  /** All permissions, all keys, no end. Secret. */
  readonly adminToken: string
  readonly firstKey: FirstKey | undefined
}

/** The key a service begins with, and what writers need of it. */
export interface FirstKey {
  readonly key: string
  readonly version: number
  /** `lhrecipient1-…` */
  readonly recipient: string
}

/**
 * Prepares what a new, empty store begins with: root, the service's own keys, a first token with all permissions and
 * perhaps a first key. `write` makes it durable, all or nothing.
 */
export async function prepareService(
  { store, rootKey, now = Date.now }: ServiceOptions,
  firstKey?: string,
): Promise<{ beginning: Beginning; write: () => Promise<void> }> {
  const at = now()
  const { root, cluster, slot } = await createRoot(rootKey, at)
  const ownKeyRows = createOwnKeys(root, at)
  const ownKeys = new OwnKeys(root, ownKeyRows)
  const all = { name: 'first token', permissions, keys: null, expiresAt: null }
  const token = makeToken(ownKeys.newest('token-pepper'), all, { createdBy: null, now: at })
  const created = firstKey === undefined ? undefined : newKey(root, firstKey, [], at)
  const chain = newChain(root, ownKeys, at)
  const event = { action: 'service.init' as const, token: token.row.token, permissions, key: firstKey }
  const audit = extend(chain, undefined, [encodeEvent(event, at)])
  root.close()
  ownKeys.close()
  return {
    beginning: {
      clusterId: toHex(cluster.clusterId),
      adminToken: token.text,
      firstKey: created && describe(created),
    },
    async write() {
      const initialization = { cluster, slot, ownKeys: ownKeyRows, token: token.row, firstKey: created }
      if ((await store.initialize(initialization, audit)) !== 'done') throw alreadyInitialised()
    },
  }
}

function describe({ key: { key, kemId }, version: { version, publicKey } }: NewKey): FirstKey {
  return { key, version, recipient: PublicKeyRecipient.fromPublicKey(kemId, publicKey).toString() }
}

/**
 * Checks the whole audit log, and writes nothing.
 *
 * @throws ServiceError `not_initialised`, `wrong_key_file`, `integrity_violation`, `storage_unavailable`.
 */
export async function verifyAuditOf({ store, rootKey }: ServiceOptions): Promise<AuditReport> {
  const root = await openRoot(rootKey, store)
  try {
    const ownKeys = new OwnKeys(root, await store.ownKeys())
    try {
      return await verifyAuditLog(store, root.clusterId, ownKeys)
    } finally {
      ownKeys.close()
    }
  } finally {
    root.close()
  }
}

export function alreadyInitialised(): ServiceError {
  return new ServiceError('already_initialised', 'there is a key service in this database already', {
    hint: 'start it; nothing was changed',
  })
}

export class Service {
  readonly keys: Keys
  readonly tokens: Tokens
  readonly #store: KeyStore
  readonly #root: Root
  readonly #ownKeys: OwnKeys
  readonly #identities: Identities
  readonly #queue = new DecapsulationQueue()
  readonly #audit: AuditLog

  private constructor(store: KeyStore, root: Root, ownKeys: OwnKeys, audit: AuditLog, now: () => number) {
    this.#store = store
    this.#root = root
    this.#ownKeys = ownKeys
    this.#audit = audit
    this.#identities = new Identities(root)
    this.keys = new Keys({ store, root, identities: this.#identities, audit, now })
    this.tokens = new Tokens({ store, ownKeys, audit, now })
  }

  /**
   * Opens the root, the service's own keys and a chain for this run.
   *
   * @throws ServiceError `not_initialised`, `wrong_key_file`, `integrity_violation`, `storage_unavailable`,
   * `audit_unavailable`.
   */
  static async open({ store, rootKey, now = Date.now, auditDeadlineMs }: ServiceOptions): Promise<Service> {
    const root = await openRoot(rootKey, store)
    const ownKeys = new OwnKeys(root, await store.ownKeys())
    const previous = (await store.auditHeads())
      .map(({ run, seq, mac }) => ({ run, seq, mac: toHex(mac) }))
      .slice(-1)
    const chain = newChain(root, ownKeys, now())
    const audit = new AuditLog({
      store,
      chain,
      now,
      ...(auditDeadlineMs === undefined ? {} : { deadlineMs: auditDeadlineMs }),
    })
    await audit.record({ action: 'service.start', previous })
    return new Service(store, root, ownKeys, audit, now)
  }

  /**
   * Whether the caller may use a route.
   *
   * @throws ServiceError `permission_denied`, once that is in the log.
   */
  async authorise(caller: Caller, permission: Permission): Promise<void> {
    try {
      requirePermission(caller.principal, permission)
    } catch (error) {
      await this.recordDenied(caller, permission)
      throw error
    }
  }

  /** A use of `permission` that was refused. */
  async recordDenied(caller: Caller, permission: Permission): Promise<void> {
    await this.#audit.record({ action: 'request.denied', caller, permission })
  }

  unwrap(caller: Caller, items: readonly UnwrapItem[]): Promise<ItemResult<Unwrapped>[]> {
    return unwrap(this.#opener(), caller, items)
  }

  rewrap(caller: Caller, items: readonly RewrapItem[]): Promise<ItemResult<Rewrapped>[]> {
    return rewrap({ ...this.#opener(), keys: this.keys }, caller, items)
  }

  /** @throws ServiceError `storage_unavailable`. */
  async checkReady(): Promise<void> {
    await this.#store.cluster()
  }

  /** Waits for what is being written, then forgets all secrets. The store and the root key stay the caller's. */
  async close(): Promise<void> {
    await this.#audit.close()
    this.#identities.close()
    this.#ownKeys.close()
    this.#root.close()
  }

  #opener() {
    const store = this.#store
    return { store, identities: this.#identities, queue: this.#queue, audit: this.#audit }
  }
}

function newChain(root: Root, ownKeys: OwnKeys, startedAt: number) {
  const key = ownKeys.newest('audit-chain')
  return { clusterId: root.clusterId, run: toHex(randomBytes(16)), startedAt, key }
}
