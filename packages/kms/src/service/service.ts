/** The service whole: what routes call. Knows neither HTTP nor SQL. */

import { toHex } from '@longhold/core'
import type { Permission } from '@longhold/core/kms'

import type { Anchor } from './anchor.ts'
import { checkAuditLog } from './audit-check.ts'
import { findEntries } from './audit-events.ts'
import type { AuditFilter, AuditPage, AuditPosition } from './audit-events.ts'
import { auditHeads } from './audit-heads.ts'
import { AuditLog } from './audit-log.ts'
import { AuditPruning } from './audit-prune.ts'
import type { AuditReport } from './audit-verify.ts'
import { BackupKeeper } from './backup-keeper.ts'
import type { BackupKeeping } from './backup-keeper.ts'
import { Backups } from './backups.ts'
import type { BackupSettings } from './backups.ts'
import type { ItemResult } from './batch.ts'
import { Checkpoints } from './checkpoints.ts'
import type { CheckpointSettings } from './checkpoints.ts'
import { Cursors } from './cursors.ts'
import { DecapsulationQueues } from './decapsulation-queue.ts'
import type { ServiceError } from './errors.ts'
import { explain } from './explain.ts'
import type { Explanation, Question } from './explain.ts'
import { Grants } from './grants.ts'
import { GuardedLedger } from './guarded-ledger.ts'
import { Idempotency } from './idempotency.ts'
import type { IdempotencyLimits } from './idempotency.ts'
import { Identities } from './identities.ts'
import { joinWith } from './joining.ts'
import type { JoinFrom } from './joining.ts'
import { KeyLife } from './key-life.ts'
import type { KeyLifeSettings } from './key-life.ts'
import { everyRow } from './key-store.ts'
import type { HeadRow, KeyStore } from './key-store.ts'
import type { Keys } from './keys.ts'
import type { Ledger } from './ledger.ts'
import { newChain } from './new-chain.ts'
import { OwnKeys } from './own-keys.ts'
import { requirePermission, sharerOf } from './policy.ts'
import type { Caller } from './policy.ts'
import { rewrap } from './rewrap.ts'
import type { Rewrapped, RewrapItem } from './rewrap.ts'
import { openRoot } from './root-opening.ts'
import { RootRotation } from './root-rotation.ts'
import type { Root } from './root.ts'
import { RowMacs } from './row-mac.ts'
import type { CheckpointRow, PruningRow } from './rows.ts'
import { isUnderNewestRoot } from './sealed-tables.ts'
import { Signer } from './signing.ts'
import type { SlotOpener } from './slot-opener.ts'
import { Slots } from './slots.ts'
import { Tokens } from './tokens.ts'
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
  /** For a node without one; default: it refuses everything until somebody accepts the database. */
  readonly join?: JoinFrom | undefined
  /** Where checkpoints are copied to, and how often there is one; default: nowhere, one an hour. */
  readonly checkpoints?: CheckpointSettings | undefined
  /** How often all rows are verified; default 60,000. */
  readonly verifyEveryMs?: number | undefined
  /** Told why everything is refused from now on, and whenever the anchor could not be written. */
  readonly onFault?: ((fault: ServiceError) => void) | undefined
  /** How many attempts to unseal were wrong before. */
  readonly failures?: number | undefined
  /** Who can open backups, and for how long they are kept; default: there are none. */
  readonly backups?: (BackupSettings & BackupKeeping) | undefined
  /** How old entries of the audit log have to be before they can be pruned; default: it is kept for ever. */
  readonly auditRetentionMs?: number | undefined
  readonly idempotency?: IdempotencyLimits | undefined
}

/**
 * Checks the whole audit log, and holds it against checkpoints that were kept elsewhere. Writes nothing.
 *
 * @param lines Of `signCheckpoint`.
 * @throws ServiceError `not_initialised`, `wrong_secret`, `integrity_violation`, `storage_unavailable`,
 * `malformed_request` for a checkpoint of somebody else.
 */
export async function verifyAuditOf(
  { store, opener }: ServiceOptions,
  lines: readonly string[] = [],
): Promise<AuditReport> {
  const { root } = await openRoot(opener, store)
  try {
    const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
    try {
      return await checkAuditLog({ store, ownKeys, signer: signerOf(root, ownKeys) }, lines)
    } finally {
      ownKeys.close()
    }
  } finally {
    root.close()
  }
}

interface NumberPage {
  readonly after: number | undefined
  readonly limit: number
}

interface Parts extends KeyLifeSettings {
  readonly store: KeyStore
  readonly root: Root
  readonly ownKeys: OwnKeys
  readonly macs: RowMacs
  readonly guarded: GuardedLedger
  readonly audit: AuditLog
  readonly now: () => number
  readonly backups: OpenOptions['backups']
  readonly checkpoints: CheckpointSettings | undefined
  readonly auditRetentionMs: number | undefined
  readonly idempotency: IdempotencyLimits | undefined
}

export class Service {
  /** Everything about keys. */
  readonly life: KeyLife
  readonly keys: Keys
  readonly tokens: Tokens
  readonly grants: Grants
  readonly idempotency: Idempotency
  readonly checkpoints: Checkpoints
  readonly pruning: AuditPruning
  readonly backups: Backups
  readonly backupKeeper: BackupKeeper
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

  private constructor(parts: Parts) {
    const { store, root, ownKeys, macs, guarded, audit, now, backups, checkpoints, ...others } = parts
    const { auditRetentionMs: retentionMs, idempotency: limits, ...more } = others
    const { ledger } = guarded
    this.#guarded = guarded
    this.#store = store
    this.#ledger = ledger
    this.#macs = macs
    this.#root = root
    this.#ownKeys = ownKeys
    this.signer = signerOf(root, ownKeys)
    this.#audit = audit
    const identities = new Identities(root)
    this.#identities = identities
    const known = () => this.backups.known()
    const queues = this.#queues
    const sweep = () => this.idempotency.sweep()
    this.life = new KeyLife({ ledger, root, identities, queues, audit, now, backups: known, sweep, ...more })
    const { time } = this.life
    this.backups = new Backups({ store, ledger, macs, root, audit, time, now, settings: backups })
    this.backupKeeper = new BackupKeeper(this.backups, time, backups)
    this.keys = this.life.keys
    this.slots = new Slots({ reads: ledger, root, audit, now })
    this.rootRotation = new RootRotation({ reads: ledger, root, audit })
    this.grants = new Grants({ ledger, audit, now })
    this.idempotency = new Idempotency({ ledger, audit, ownKeys, now, ...limits })
    this.checkpoints = new Checkpoints({ ...checkpoints, ledger, signer: this.signer, audit, now })
    const { signer } = this
    this.pruning = new AuditPruning({ store, ledger, signer, ownKeys, audit, time, retentionMs })
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
    join,
    checkpoints,
    verifyEveryMs,
    onFault,
    backups,
    auditRetentionMs,
    idempotency,
    ...settings
  }: OpenOptions): Promise<Service> {
    const { root, slot } = await openRoot(opener, store)
    const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
    const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
    let joinedAt: number | undefined
    const against =
      join &&
      (async (head: HeadRow) => {
        const joining = await joinWith(join, signerOf(root, ownKeys), head, store)
        if ('rollback' in joining) return joining.rollback
        joinedAt = joining.checkpoint
        return undefined
      })
    const guard = { store, macs, anchor, join: against, verifyEveryMs, onFault }
    const guarded = await GuardedLedger.open(guard)
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
      const start = { previous, slot: slot.slot, slotKind: slot.kind, failures, checkpoint: joinedAt }
      // A service that refuses everything writes nothing either.
      if (fault === undefined) await audit.record({ action: 'service.start', ...start })
    } catch (error) {
      await guarded.close()
      throw error
    }
    const more = { ...settings, checkpoints, backups, auditRetentionMs, idempotency }
    const service = new Service({ ...more, store, root, ownKeys, macs, guarded, audit, now })
    service.life.upkeep.start()
    service.checkpoints.start()
    service.backupKeeper.start()
    if (fault === undefined) service.pruning.forget()
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
    const starts = await this.pruning.starts()
    const found = await findEntries({ reads: this.#ledger, store: this.#store, starts }, filter, page)
    await this.#audit.record({ action: 'audit.read', caller, filter })
    return found
  }

  /** Ascending; that they were read is in the log, as for entries. */
  async listCheckpoints(caller: Caller, page: NumberPage): Promise<CheckpointRow[]> {
    const rows = await this.checkpoints.list(page)
    await this.#audit.record({ action: 'audit.read', caller, list: 'checkpoints' })
    return rows
  }

  /** The same of prunings. */
  async listPrunings(caller: Caller, page: NumberPage): Promise<PruningRow[]> {
    const rows = await this.pruning.list(page)
    await this.#audit.record({ action: 'audit.read', caller, list: 'prunings' })
    return rows
  }

  /**
   * Checks the whole log, and holds it against checkpoints that were kept elsewhere.
   *
   * @param lines Of `signCheckpoint`.
   * @throws ServiceError `malformed_request`, also for a checkpoint of somebody else.
   */
  async verifyAudit(caller: Caller, lines: readonly string[]): Promise<AuditReport> {
    const parts = { store: this.#store, root: this.#root, ownKeys: this.#ownKeys, signer: this.signer }
    const report = await checkAuditLog(parts, lines)
    await this.#audit.record({ action: 'audit.verify', caller, faults: report.faults.length })
    return report
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
    await this.backupKeeper.close()
    await this.pruning.close()
    await this.rootRotation.close()
    await this.checkpoints.close()
    // What it would have kept is in the log all the same.
    await this.life.upkeep.close().catch(() => undefined)
    await this.#audit.close()
    await this.#guarded.close()
    this.#identities.close()
    this.tokens.close()
    this.#macs.close()
    this.#ownKeys.close()
    this.#root.close()
  }

  #openerFor({ principal }: Caller) {
    const [ledger, queue] = [this.#ledger, this.#queues.of(sharerOf(principal))]
    return { ledger, identities: this.#identities, queue, usage: this.life.usage }
  }
}

/** The signing identity. */
function signerOf(root: Root, ownKeys: OwnKeys): Signer {
  return ownKeys.newest('signing').secret.use((seed) => new Signer(root.clusterId, seed))
}
