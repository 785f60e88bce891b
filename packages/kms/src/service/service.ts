/** The service whole: what routes call. Knows neither HTTP nor SQL. */

import { randomBytes } from 'node:crypto'

import { PublicKeyRecipient, toHex } from '@longhold/core'
import { permissions } from '@longhold/core/kms'
import type { Permission } from '@longhold/core/kms'

import type { Anchor } from './anchor.ts'
import { extend } from './audit-chain.ts'
import { encodeEvent } from './audit-entry.ts'
import { findEntries } from './audit-events.ts'
import type { AuditFilter, AuditPage, AuditPosition } from './audit-events.ts'
import { auditHeads } from './audit-heads.ts'
import { AuditLog } from './audit-log.ts'
import { verifyAuditLog } from './audit-verify.ts'
import type { AuditReport } from './audit-verify.ts'
import type { ItemResult } from './batch.ts'
import { insert } from './changes.ts'
import { faultsAgainst } from './checkpoint-audit.ts'
import { readCheckpoint } from './checkpoint.ts'
import { Checkpoints } from './checkpoints.ts'
import { Cursors } from './cursors.ts'
import { DecapsulationQueues } from './decapsulation-queue.ts'
import { alreadyInitialised } from './errors.ts'
import type { ServiceError } from './errors.ts'
import { explain } from './explain.ts'
import type { Explanation, Question } from './explain.ts'
import { Grants } from './grants.ts'
import { GuardedLedger } from './guarded-ledger.ts'
import { Identities } from './identities.ts'
import { KeyLife } from './key-life.ts'
import type { KeyLifeSettings } from './key-life.ts'
import { everyRow } from './key-store.ts'
import type { KeyStore } from './key-store.ts'
import { newKey } from './keys.ts'
import type { FirstVersion, Keys } from './keys.ts'
import { firstCommit } from './ledger.ts'
import type { Ledger } from './ledger.ts'
import { createOwnKeys, OwnKeys } from './own-keys.ts'
import { requirePermission, sharerOf } from './policy.ts'
import type { Caller } from './policy.ts'
import { rewrap } from './rewrap.ts'
import type { Rewrapped, RewrapItem } from './rewrap.ts'
import { createRoot, openRoot } from './root-opening.ts'
import { RootRotation } from './root-rotation.ts'
import type { Root } from './root.ts'
import { RowMacs } from './row-mac.ts'
import { isUnderNewestRoot } from './sealed-tables.ts'
import { fingerprint, Signer } from './signing.ts'
import type { SlotOpener } from './slot-opener.ts'
import { Slots } from './slots.ts'
import { bootstrapLifeMs, makeToken, Tokens } from './tokens.ts'
import { unwrap } from './unwrap.ts'
import type { Unwrapped, UnwrapItem } from './unwrap.ts'

export interface ServiceOptions extends KeyLifeSettings {
  readonly store: KeyStore
  /** Of any slot. */
  readonly opener: SlotOpener
  readonly now?: () => number
  /** How long an answer waits for its audit entry. */
  readonly auditDeadlineMs?: number
}

export interface OpenOptions extends ServiceOptions {
  /** Without one, a database that was put back whole is not noticed. */
  readonly anchor?: Anchor | undefined
  /** How often all rows are verified; default 60,000. */
  readonly verifyEveryMs?: number | undefined
  /** Told why everything is refused from now on, and whenever the anchor could not be written. */
  readonly onFault?: ((fault: ServiceError) => void) | undefined
  /** How many attempts to unseal were wrong before. */
  readonly failures?: number | undefined
}

export interface PrepareOptions extends ServiceOptions {
  /** How many slots there must be before the first key, and from then on; default 1. */
  readonly minSlots?: number
  /** Whether the first token makes one other token, of any rights, within an hour, and ends with that; default false. */
  readonly isBootstrap?: boolean
}

/** What a new service begins with. */
export interface Beginning {
  readonly clusterId: string
  /** All permissions, all keys, no end; or a bootstrap token (see `PrepareOptions`). Secret. */
  readonly adminToken: string
  /** Of the signing identity. */
  readonly fingerprint: string
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
  { store, opener, now = Date.now, minSlots = 1, isBootstrap = false }: PrepareOptions,
  firstKey?: string,
): Promise<{ beginning: Beginning; write: () => Promise<void> }> {
  const at = now()
  const { root, cluster, slot } = await createRoot({ opener, minSlots, now: at })
  const ownKeyRows = createOwnKeys(root, at)
  const ownKeys = new OwnKeys(root, ownKeyRows)
  const expiresAt = isBootstrap ? at + bootstrapLifeMs : null
  const name = isBootstrap ? 'bootstrap' : 'first token'
  const all = { name, principal: null, permissions, keys: null, expiresAt }
  const token = makeToken(ownKeys.newest('token-pepper'), all, { createdBy: null, now: at })
  const signer = ownKeys.newest('signing').secret.use((seed) => new Signer(root.clusterId, seed))
  const created = firstKey === undefined ? undefined : newKey(root, firstKey, at)
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
      ...(created === undefined ? [] : [insert('keys', created.key), insert('versions', created.version)]),
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
      fingerprint: fingerprint(signer.publicKey),
      firstKey: created && describe(created),
    },
    async write() {
      if ((await store.commit(commit)) !== 'done') throw alreadyInitialised()
    },
  }
}

function describe({ key: { key, kemId }, version: { version, publicKey } }: FirstVersion): FirstKey {
  return { key, version, recipient: PublicKeyRecipient.fromPublicKey(kemId, publicKey).toString() }
}

/**
 * Checks the whole audit log, and writes nothing.
 *
 * @throws ServiceError `not_initialised`, `wrong_secret`, `integrity_violation`, `storage_unavailable`.
 */
export async function verifyAuditOf({ store, opener }: ServiceOptions): Promise<AuditReport> {
  const { root } = await openRoot(opener, store)
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

interface Parts extends KeyLifeSettings {
  readonly store: KeyStore
  readonly root: Root
  readonly ownKeys: OwnKeys
  readonly macs: RowMacs
  readonly guarded: GuardedLedger
  readonly audit: AuditLog
  readonly now: () => number
}

export class Service {
  /** Everything about keys. */
  readonly life: KeyLife
  readonly keys: Keys
  readonly tokens: Tokens
  readonly grants: Grants
  readonly checkpoints: Checkpoints
  readonly slots: Slots
  readonly rootRotation: RootRotation
  readonly #store: KeyStore
  readonly #guarded: GuardedLedger
  readonly #ledger: Ledger
  readonly #macs: RowMacs
  readonly #root: Root
  readonly #ownKeys: OwnKeys
  readonly #identities: Identities
  readonly #queues = new DecapsulationQueues()
  readonly cursors: Cursors = new Cursors(() => this.#ownKeys.newest('cursor'))
  /** Signs what leaves the service and is to be believed elsewhere. */
  readonly signer: Signer
  readonly #audit: AuditLog

  private constructor({ store, root, ownKeys, macs, guarded, audit, now, ...more }: Parts) {
    const { ledger } = guarded
    this.#guarded = guarded
    this.#store = store
    this.#ledger = ledger
    this.#macs = macs
    this.#root = root
    this.#ownKeys = ownKeys
    const { secret: signingSeed } = ownKeys.newest('signing')
    this.signer = signingSeed.use((seed) => new Signer(root.clusterId, seed))
    this.#audit = audit
    const identities = new Identities(root)
    this.#identities = identities
    this.life = new KeyLife({ ledger, root, identities, queues: this.#queues, audit, now, ...more })
    this.keys = this.life.keys
    this.slots = new Slots({ reads: ledger, root, audit, now })
    this.rootRotation = new RootRotation({ reads: ledger, root, audit })
    this.grants = new Grants({ ledger, audit, now })
    this.checkpoints = new Checkpoints({ ledger, signer: this.signer, audit, now })
    this.tokens = new Tokens({ ledger, ownKeys, grants: this.grants, audit, now })
  }

  /**
   * Opens the root, the service's own keys and a chain for this run.
   *
   * @throws ServiceError `not_initialised`, `wrong_secret`, `integrity_violation`, `storage_unavailable`,
   * `audit_unavailable`.
   */
  static async open({
    store,
    opener,
    now = Date.now,
    auditDeadlineMs,
    failures,
    anchor,
    verifyEveryMs,
    onFault,
    ...settings
  }: OpenOptions): Promise<Service> {
    const { root, slot } = await openRoot(opener, store)
    const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
    const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
    const guarded = await GuardedLedger.open({ store, macs, anchor, verifyEveryMs, onFault })
    const { ledger, fault } = guarded
    const newest = fault === undefined ? (await auditHeads(ledger)).at(-1) : undefined
    const previous = newest && [{ run: newest.run, seq: newest.seq, mac: toHex(newest.lastMac) }]
    const chain = newChain(root, ownKeys, { ordinal: (newest?.ordinal ?? 0) + 1, startedAt: now() })
    const audit = new AuditLog({
      ledger,
      chain,
      now,
      accepts: (change) => isUnderNewestRoot(root, change),
      ...(auditDeadlineMs === undefined ? {} : { deadlineMs: auditDeadlineMs }),
    })
    try {
      const start = { previous, slot: slot.slot, slotKind: slot.kind, failures }
      // A service that refuses everything writes nothing either.
      if (fault === undefined) await audit.record({ action: 'service.start', ...start })
    } catch (error) {
      await guarded.close()
      throw error
    }
    const service = new Service({ ...settings, store, root, ownKeys, macs, guarded, audit, now })
    service.life.upkeep.start()
    service.checkpoints.start()
    return service
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

  /**
   * Takes what the request owes for grants with a number of uses, before it is answered.
   *
   * @throws ServiceError `permission_denied` when another request took the last use meanwhile.
   */
  async settle(caller: Caller): Promise<void> {
    await this.#audit.settle(caller)
  }

  /** A use of `permission` that was refused. */
  async recordDenied(caller: Caller, permission: Permission): Promise<void> {
    await this.#audit.record({ action: 'request.denied', caller, permission })
  }

  /** Before the service turns to sealed. */
  async recordSeal(caller: Caller): Promise<void> {
    await this.#audit.record({ action: 'service.seal', caller })
  }

  /** Entries of the log; that it was read is in the log before anybody has them. */
  async readAudit(
    caller: Caller,
    filter: AuditFilter,
    page: { readonly after: AuditPosition | undefined; readonly limit: number },
  ): Promise<AuditPage> {
    // What was there when it was asked for: not the entry about the asking.
    const found = await findEntries({ reads: this.#ledger, store: this.#store }, filter, page)
    await this.#audit.record({ action: 'audit.read', caller, filter })
    return found
  }

  /**
   * Checks the whole log, and holds it against checkpoints that were kept elsewhere.
   *
   * @param lines Of `signCheckpoint`.
   * @throws ServiceError `malformed_request`, also for a checkpoint of somebody else.
   */
  async verifyAudit(caller: Caller, lines: readonly string[]): Promise<AuditReport> {
    const checkpoints = lines.map((line) => readCheckpoint(this.signer, line))
    const report = await verifyAuditLog(this.#store, this.#root.clusterId, this.#ownKeys)
    const faults = [...report.faults]
    for (const checkpoint of checkpoints) {
      faults.push(...(await faultsAgainst(checkpoint, this.#store)))
    }
    const all = { ...report, ok: faults.length === 0, faults }
    await this.#audit.record({ action: 'audit.verify', caller, faults: faults.length })
    return all
  }

  /** Why something would be allowed, or not. Throws as `explain` does. */
  async explain(question: Question): Promise<Explanation> {
    return await explain({ ledger: this.#ledger, grants: this.grants, tokens: this.tokens }, question)
  }

  unwrap(caller: Caller, items: readonly UnwrapItem[]): Promise<ItemResult<Unwrapped>[]> {
    return unwrap(this.#openerFor(caller), caller, items)
  }

  rewrap(caller: Caller, items: readonly RewrapItem[]): Promise<ItemResult<Rewrapped>[]> {
    return rewrap({ ...this.#openerFor(caller), keys: this.keys }, caller, items)
  }

  /** @throws ServiceError `storage_unavailable`. */
  async checkReady(): Promise<void> {
    this.#ledger.requireSound()
    await this.#store.head()
  }

  /** Why everything is refused: `integrity_violation` or `rollback_detected`. */
  get fault(): ServiceError | undefined {
    return this.#guarded.fault
  }

  /** Of one that refuses everything: once it writes nothing any more, its anchor neither. */
  async settled(): Promise<void> {
    await this.#guarded.settled()
  }

  /**
   * Verifies all rows now.
   *
   * @throws ServiceError `integrity_violation`, and everything is refused from then on; `storage_unavailable`.
   */
  async verifyRows(): Promise<void> {
    await this.#guarded.verify()
  }

  /** Waits for what is being written, then forgets all secrets. Store and opener stay the caller's. */
  async close(): Promise<void> {
    await this.rootRotation.close()
    await this.checkpoints.close()
    // What it would have kept is in the log all the same.
    await this.life.upkeep.close().catch(() => undefined)
    await this.#audit.close()
    await this.#guarded.close()
    this.#identities.close()
    this.#macs.close()
    this.#ownKeys.close()
    this.#root.close()
  }

  #openerFor({ principal }: Caller) {
    const [ledger, queue] = [this.#ledger, this.#queues.of(sharerOf(principal))]
    return { ledger, identities: this.#identities, queue, usage: this.life.usage }
  }
}

function newChain(root: Root, ownKeys: OwnKeys, began: { ordinal: number; startedAt: number }) {
  const key = ownKeys.newest('audit-chain')
  return { clusterId: root.clusterId, run: toHex(randomBytes(16)), ...began, key }
}
