/** The service whole: what routes call. Knows neither HTTP nor SQL. */

import { randomBytes } from 'node:crypto'

import { PublicKeyRecipient, Secret, toHex } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import { extend } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import { auditHeads } from './audit-heads.ts'
import { AuditLog } from './audit-log.ts'
import { verifyAuditLog } from './audit-verify.ts'
import type { AuditReport } from './audit-verify.ts'
import type { ItemResult } from './batch.ts'
import { insert } from './changes.ts'
import { Cursors } from './cursors.ts'
import { DecapsulationQueues } from './decapsulation-queue.ts'
import { ServiceError } from './errors.ts'
import { Identities } from './identities.ts'
import { everyRow } from './key-store.ts'
import type { KeyStore } from './key-store.ts'
import { insertKey, Keys, newKey } from './keys.ts'
import type { NewKey } from './keys.ts'
import { firstCommit, Ledger } from './ledger.ts'
import { createOwnKeys, OwnKeys } from './own-keys.ts'
import { permissions, requirePermission } from './policy.ts'
import type { Caller } from './policy.ts'
import { rewrap } from './rewrap.ts'
import type { Rewrapped, RewrapItem } from './rewrap.ts'
import type { RootKey } from './root-key.ts'
import { createRoot, openRoot } from './root.ts'
import type { Root } from './root.ts'
import { RowMacs } from './row-mac.ts'
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
  const chain = newChain(root, ownKeys, { ordinal: 1, startedAt: at })
  const event = { action: 'service.init' as const, token: token.row.token, permissions, key: firstKey }
  const audit = extend(chain, undefined, [encodeEvent(event, at)])
  const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
  const commit = firstCommit(
    macs,
    [
      insert('cluster', cluster),
      insert('slots', slot),
      ...ownKeyRows.map((row) => insert('own_keys', row)),
      insert('tokens', token.row),
      ...(created === undefined ? [] : insertKey(created)),
    ],
    audit,
  )
  macs.close()
  root.close()
  ownKeys.close()
  return {
    beginning: {
      clusterId: toHex(cluster.clusterId),
      adminToken: token.text,
      firstKey: created && describe(created),
    },
    async write() {
      if ((await store.commit(commit)) !== 'done') throw alreadyInitialised()
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
    const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
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

interface Parts {
  readonly store: KeyStore
  readonly root: Root
  readonly ownKeys: OwnKeys
  readonly macs: RowMacs
  readonly ledger: Ledger
  readonly audit: AuditLog
  readonly now: () => number
}

export class Service {
  readonly keys: Keys
  readonly tokens: Tokens
  readonly #store: KeyStore
  readonly #ledger: Ledger
  readonly #macs: RowMacs
  readonly #root: Root
  readonly #ownKeys: OwnKeys
  readonly #identities: Identities
  readonly #queues = new DecapsulationQueues()
  readonly #cursorKey = { version: 1, secret: Secret.take(new Uint8Array(randomBytes(32))) }
  readonly cursors: Cursors = new Cursors(() => this.#cursorKey)
  readonly #audit: AuditLog

  private constructor({ store, root, ownKeys, macs, ledger, audit, now }: Parts) {
    this.#store = store
    this.#ledger = ledger
    this.#macs = macs
    this.#root = root
    this.#ownKeys = ownKeys
    this.#audit = audit
    this.#identities = new Identities(root)
    this.keys = new Keys({ ledger, root, identities: this.#identities, audit, now })
    this.tokens = new Tokens({ ledger, ownKeys, audit, now })
  }

  /**
   * Opens the root, the service's own keys and a chain for this run.
   *
   * @throws ServiceError `not_initialised`, `wrong_key_file`, `integrity_violation`, `storage_unavailable`,
   * `audit_unavailable`.
   */
  static async open({ store, rootKey, now = Date.now, auditDeadlineMs }: ServiceOptions): Promise<Service> {
    const root = await openRoot(rootKey, store)
    const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
    const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
    const ledger = new Ledger(store, macs)
    const newest = (await auditHeads(ledger)).at(-1)
    const previous = newest && [{ run: newest.run, seq: newest.seq, mac: toHex(newest.lastMac) }]
    const chain = newChain(root, ownKeys, { ordinal: (newest?.ordinal ?? 0) + 1, startedAt: now() })
    const audit = new AuditLog({
      ledger,
      chain,
      now,
      ...(auditDeadlineMs === undefined ? {} : { deadlineMs: auditDeadlineMs }),
    })
    await audit.record({ action: 'service.start', previous })
    return new Service({ store, root, ownKeys, macs, ledger, audit, now })
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
    return unwrap(this.#openerFor(caller), caller, items)
  }

  rewrap(caller: Caller, items: readonly RewrapItem[]): Promise<ItemResult<Rewrapped>[]> {
    return rewrap({ ...this.#openerFor(caller), keys: this.keys }, caller, items)
  }

  /** @throws ServiceError `storage_unavailable`. */
  async checkReady(): Promise<void> {
    await this.#store.head()
  }

  /** Waits for what is being written, then forgets all secrets. The store and the root key stay the caller's. */
  async close(): Promise<void> {
    await this.#audit.close()
    this.#identities.close()
    this.#macs.close()
    this.#ownKeys.close()
    this.#root.close()
  }

  #openerFor({ principal }: Caller) {
    const [ledger, queue] = [this.#ledger, this.#queues.of(principal.token)]
    return { ledger, identities: this.#identities, queue, audit: this.#audit }
  }
}

function newChain(root: Root, ownKeys: OwnKeys, began: { ordinal: number; startedAt: number }) {
  const key = ownKeys.newest('audit-chain')
  return { clusterId: root.clusterId, run: toHex(randomBytes(16)), ...began, key }
}
