/** What the audit log says. Only the fields below are ever written; none can hold a secret. */

import type { KeyPurpose, Permission, ProblemCode, VersionState } from '@longhold/core/kms'

import type { AuditFilter } from './audit-events.ts'
import type { PreviousRun } from './audit-rows.ts'
import type { KeyChanges } from './key-settings.ts'
import type { Caller } from './policy.ts'
import type { Rule } from './rule.ts'
import type { SlotKind } from './slot-opener.ts'

export type AuditAction =
  | 'service.init'
  | 'service.start'
  | 'service.seal'
  | 'rollback.accept'
  | 'slot.create'
  | 'slot.remove'
  | 'root.rotate'
  | 'root.reseal'
  | 'root.retire'
  | 'request.denied'
  | 'service.upkeep'
  | 'clock.accept'
  | 'key.create'
  | 'key.update'
  | 'key.import'
  | 'key.export'
  | 'key.rotate'
  | 'version.update'
  | 'version.destroy'
  | 'version.restore'
  | 'version.destroyed'
  | 'alias.put'
  | 'alias.remove'
  | 'census.put'
  | 'census.remove'
  | 'data-keys.create'
  | 'decapsulate'
  | 'token.create'
  | 'token.revoke'
  | 'principal.create'
  | 'principal.disable'
  | 'principal.enable'
  | 'grant.create'
  | 'grant.delete'
  | 'grant.use'
  | 'audit.read'
  | 'audit.verify'
  | 'audit.checkpoint'
  | 'audit.prune'
  | 'backup.create'
  | 'backup.finish'
  | 'backup.confirm'
  | 'backup.remove'
  | 'backup.expire'
  | 'service.restore'
  | 'unwrap'
  | 'rewrap'

/** Items of a batch that had the same key and result; what was done, the same context too. */
export interface AuditItems {
  readonly result: 'done' | ProblemCode
  readonly key?: string | undefined
  readonly version?: number | undefined
  /** As pairs when short, else the SHA-256 of its canonical bytes; absent where refused items had several. */
  readonly context?: readonly (readonly [string, string])[] | string | undefined
  /** Hexadecimal. Verified when the result is `done`, else what the caller claimed, the first few of them. */
  readonly keyIds: string[]
  /** Of what was refused: how many, and where they stand in the batch, from 0, as in `0-3,7`. */
  readonly count?: number | undefined
  readonly indices?: string | undefined
}

export interface AuditEvent {
  readonly action: AuditAction
  readonly caller?: Caller | undefined
  readonly key?: string | undefined
  readonly version?: number | undefined
  readonly from?: VersionState | undefined
  readonly to?: VersionState | undefined
  /** The new primary, where one had to be made. */
  readonly primary?: number | undefined
  readonly destroyAt?: number | undefined
  readonly purpose?: KeyPurpose | undefined
  /** What was said of a key. */
  readonly settings?: KeyChanges | undefined
  readonly alias?: string | undefined
  /** What the alias stood for before. */
  readonly previousKey?: string | undefined
  readonly consumer?: string | undefined
  readonly wrappedKeys?: number | undefined
  /** Of whoever can open an export; hexadecimal. */
  readonly recipientId?: string | undefined
  /** Whether data keys were given out. */
  readonly plaintext?: boolean | undefined
  readonly result?: 'done' | ProblemCode | undefined
  /** By how much the clock had jumped. */
  readonly jumpMs?: number | undefined
  readonly token?: string | undefined
  /** What went with it. */
  readonly descendants?: readonly string[] | undefined
  /** The principal that is spoken of. */
  readonly subject?: string | undefined
  readonly grant?: string | undefined
  readonly rule?: Rule | undefined
  /** Which entries were asked for. */
  readonly filter?: AuditFilter | undefined
  /** What was read besides entries. */
  readonly list?: 'checkpoints' | 'prunings' | undefined
  /** That was made, or that a node without an anchor joined from. */
  readonly checkpoint?: number | undefined
  readonly backup?: string | undefined
  /** Who can open a backup; hexadecimal. */
  readonly recipientIds?: readonly string[] | undefined
  /** Of a backup, once it is whole; hexadecimal. */
  readonly sha256?: string | undefined
  /** What a check of the log found. */
  readonly faults?: number | undefined
  readonly permissions?: readonly Permission[] | undefined
  readonly keys?: readonly string[] | null | undefined
  readonly expiresAt?: number | null | undefined
  readonly permission?: Permission | undefined
  /** Which slot opened the service, was made or removed. */
  readonly slot?: string | undefined
  readonly slotKind?: SlotKind | undefined
  /** Attempts to unseal that were wrong, before the one that was right. */
  readonly failures?: number | undefined
  readonly rootVersion?: number | undefined
  readonly rows?: number | undefined
  readonly items?: readonly AuditItems[] | undefined
  /** Of a database that was accepted though older than its anchor, and of the anchor; null: there was none. */
  readonly epoch?: number | undefined
  readonly anchorEpoch?: number | null | undefined
  /** How the chains before this one end: run, last number, MAC in hexadecimal. */
  readonly previous?: readonly PreviousRun[] | undefined
}

/** The JSON of an entry: fields in this order, absent ones left out. */
export function encodeEvent(event: AuditEvent, at: number): string {
  if (hasItemsAlone(event)) return encodeItems(event, at)
  return JSON.stringify({
    at: new Date(at).toISOString(),
    action: event.action,
    principal: event.caller?.principal.token,
    request_id: event.caller?.requestId,
    key: event.key,
    version: event.version,
    from: event.from,
    to: event.to,
    primary: event.primary,
    destroy_at: event.destroyAt === undefined ? undefined : new Date(event.destroyAt).toISOString(),
    purpose: event.purpose,
    settings: event.settings && encodeSettings(event.settings),
    alias: event.alias,
    previous_key: event.previousKey,
    consumer: event.consumer,
    wrapped_keys: event.wrappedKeys,
    recipient_id: event.recipientId,
    plaintext: event.plaintext,
    result: event.result,
    jump_ms: event.jumpMs,
    token: event.token,
    descendants: event.descendants?.length === 0 ? undefined : event.descendants,
    subject: event.subject,
    grant: event.grant,
    effect: event.rule?.effect,
    permissions: event.permissions,
    keys: event.keys,
    expires_at:
      typeof event.expiresAt === 'number' ? new Date(event.expiresAt).toISOString() : event.expiresAt,
    ...(event.rule === undefined ? {} : conditionsOf(event.rule)),
    permission: event.permission,
    filter: event.filter,
    list: event.list,
    checkpoint: event.checkpoint,
    backup: event.backup,
    recipient_ids: event.recipientIds,
    sha256: event.sha256,
    faults: event.faults,
    slot: event.slot,
    slot_kind: event.slotKind,
    failures: event.failures,
    root_version: event.rootVersion,
    rows: event.rows,
    items: event.items?.map(encodedItem),
    epoch: event.epoch,
    anchor_epoch: event.anchorEpoch,
    previous: event.previous?.map(({ run, seq, mac }) => ({ run, seq, mac })),
  })
}

const fieldsOfItems: ReadonlySet<string> = new Set<keyof AuditEvent>(['action', 'caller', 'items'])

/** As those of unwraps, of which there are thousands a second: absent fields take as long to leave out as others to write. */
function hasItemsAlone(event: AuditEvent): boolean {
  for (const field in event) if (!fieldsOfItems.has(field)) return false
  return true
}

function encodeItems({ action, caller, items }: AuditEvent, at: number): string {
  return JSON.stringify({
    at: new Date(at).toISOString(),
    action,
    principal: caller?.principal.token,
    request_id: caller?.requestId,
    items: items?.map(encodedItem),
  })
}

function encodedItem({ result, key, version, context, keyIds, count, indices }: AuditItems): object {
  const isDigest = typeof context === 'string'
  return {
    result,
    key,
    version,
    count,
    indices,
    context_sha256: isDigest ? context : undefined,
    context: isDigest ? undefined : context,
    key_ids: keyIds,
  }
}

/** What was said, under the names it has in requests. */
function encodeSettings(settings: KeyChanges): object {
  const { rewrapTo, labels, rotateEveryMs, destroyAfterMs, exportable, issuedOnly } = settings
  return {
    rewrap_to: rewrapTo,
    labels,
    rotate_every_seconds: typeof rotateEveryMs === 'number' ? rotateEveryMs / 1000 : rotateEveryMs,
    destroy_after_seconds: destroyAfterMs === undefined ? undefined : destroyAfterMs / 1000,
    exportable,
    issued_only: issuedOnly,
    enabled: settings.enabled,
    min_unwrap_version: settings.minUnwrapVersion,
  }
}

/** The conditions of a grant that permissions, keys and end do not say. */
function conditionsOf({ labels, context, notBefore, notAfter, networks }: Rule) {
  const time = (at: number | null) => (at === null ? undefined : new Date(at).toISOString())
  return {
    labels: labels ?? undefined,
    context_rule: context ?? undefined,
    not_before: time(notBefore),
    not_after: time(notAfter),
    networks: networks ?? undefined,
  }
}
