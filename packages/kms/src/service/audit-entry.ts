/** What the audit log says. Only the fields below are ever written; none can hold a secret. */

import type { Permission, ProblemCode, VersionState } from '@longhold/core/kms'

import type { Caller } from './policy.ts'

export type AuditAction =
  | 'service.init'
  | 'service.start'
  | 'request.denied'
  | 'key.create'
  | 'key.rotate'
  | 'version.update'
  | 'token.create'
  | 'token.revoke'
  | 'unwrap'
  | 'rewrap'

/** Items of a batch that had the same key, context and result. */
export interface AuditItems {
  readonly result: 'done' | ProblemCode
  readonly key?: string | undefined
  readonly version?: number | undefined
  /** As pairs when short, else the SHA-256 of its canonical bytes. */
  readonly context: readonly (readonly [string, string])[] | string
  /** Hexadecimal. Verified when the result is `done`, else what the caller claimed. */
  readonly keyIds: string[]
}

export interface AuditEvent {
  readonly action: AuditAction
  readonly caller?: Caller | undefined
  readonly key?: string | undefined
  readonly version?: number | undefined
  readonly from?: VersionState | undefined
  readonly to?: VersionState | undefined
  readonly token?: string | undefined
  readonly permissions?: readonly Permission[] | undefined
  readonly keys?: readonly string[] | null | undefined
  readonly expiresAt?: number | null | undefined
  readonly permission?: Permission | undefined
  readonly items?: readonly AuditItems[] | undefined
  /** How the chains before this one end: run, last number, MAC in hexadecimal. */
  readonly previous?: readonly PreviousRun[] | undefined
}

export interface PreviousRun {
  readonly run: string
  readonly seq: number
  readonly mac: string
}

/** The JSON of an entry: fields in this order, absent ones left out. */
export function encodeEvent(event: AuditEvent, at: number): string {
  return JSON.stringify({
    at: new Date(at).toISOString(),
    action: event.action,
    principal: event.caller?.principal.token,
    request_id: event.caller?.requestId,
    key: event.key,
    version: event.version,
    from: event.from,
    to: event.to,
    token: event.token,
    permissions: event.permissions,
    keys: event.keys,
    expires_at:
      typeof event.expiresAt === 'number' ? new Date(event.expiresAt).toISOString() : event.expiresAt,
    permission: event.permission,
    items: event.items?.map(({ result, key, version, context, keyIds }) => ({
      result,
      key,
      version,
      ...(typeof context === 'string' ? { context_sha256: context } : { context }),
      key_ids: keyIds,
    })),
    previous: event.previous?.map(({ run, seq, mac }) => ({ run, seq, mac })),
  })
}
