/**
 * What travels between the key service and its clients, as JSON: bytes are base64url without padding, times RFC
 * 3339 in UTC. The service checks its schemas against these types when it is compiled.
 */

/** What a token may be allowed to do. None implies another. */
export const permissions = [
  'keys.create',
  'keys.list',
  'keys.read',
  'keys.update',
  // Loosen what protects a key, in addition to creating, importing or editing it: more targets of a rewrap, exportable,
  // data keys from elsewhere, older versions that unwrap, a shorter wait before destruction, an end of its being disabled.
  'keys.policy',
  // Say labels of a key, in addition to creating or editing it: grants go by them.
  'keys.label',
  'keys.rotate',
  'keys.usage',
  'keys.import',
  'keys.export',
  'versions.list',
  'versions.read',
  'versions.update',
  'versions.destroy',
  'versions.restore',
  'versions.check',
  'aliases.list',
  'aliases.read',
  'aliases.write',
  'aliases.remove',
  'census.read',
  'census.write',
  'census.remove',
  // Speak for a consumer that somebody else registered, and say who does, in addition to `census.write`.
  'census.assign',
  'data-keys.create',
  'decapsulate',
  'clock.read',
  'clock.accept',
  // Read the public key; be the target of a rewrap.
  'wrap',
  'unwrap',
  // Unwrap with a compromised version, in addition to `unwrap`.
  'unwrap.compromised',
  'rewrap',
  'tokens.create',
  'tokens.list',
  'tokens.revoke',
  'sys.seal',
  'slots.list',
  'slots.create',
  'slots.remove',
  'root.rotate',
  'principals.create',
  'principals.list',
  'principals.update',
  'grants.create',
  'grants.list',
  'grants.delete',
  'authz.explain',
  'audit.read',
  'audit.verify',
  'audit.checkpoint',
  // Delete entries that an export and a checkpoint cover.
  'audit.prune',
  'backups.create',
  'backups.list',
  'backups.remove',
] as const

/** One of `permissions`. */
export type Permission = (typeof permissions)[number]

/** Why the service refused, stable across releases. */
export const problemCodes = [
  'malformed_request',
  'unknown_field',
  'unauthenticated',
  'permission_denied',
  'not_found',
  'invalid_state',
  'no_backup_recipients',
  'idempotency_in_progress',
  'already_done',
  'precondition_failed',
  'body_too_large',
  'too_many_items',
  'unwrap_failed',
  'recipient_unknown',
  'wrong_secret',
  'idempotency_key_reused',
  'precondition_required',
  'rate_limited',
  'internal',
  'sealed',
  'slot_unavailable',
  'audit_unavailable',
  'storage_unavailable',
  'draining',
  'rollback_detected',
  'integrity_violation',
] as const

/** One of `problemCodes`. */
export type ProblemCode = (typeof problemCodes)[number]

/** Problem details (RFC 9457) of a whole request. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: ProblemCode
  request_id: string
}

/** Why one item of a batch has no answer; the others do. */
export interface ItemProblem {
  status: number
  code: ProblemCode
  detail: string
}

/** One page of a list; `next_cursor` is absent on the last. */
export interface Page<T> {
  items: T[]
  next_cursor?: string | undefined
}

/** What a writer needs to wrap without the service, for at most a day. */
export interface PublicKeyBundle {
  key: string
  /** The primary version. */
  version: number
  /** Of the key when this was issued. */
  generation: number
  /** `lhrecipient1-…` of the primary version. */
  recipient: string
  /** Of all versions that unwrap now, for whoever may: the primary among them, and compromised ones. */
  recipient_ids: string[]
  issued_at: string
  not_after: string
  /** Of the service: 16 bytes, hexadecimal. */
  cluster_id: string
  /** By the service's signing identity (3,309 bytes); what it signs is in docs/kms.md. */
  signature: string
}

/** Whom the signatures of a service are of. Told to everybody who asks. */
export interface SigningIdentity {
  cluster_id: string
  algorithm: 'ML-DSA-65'
  /** 1,952 bytes. */
  public_key: string
  /** SHA-256 of the public key, 64 hexadecimal digits in groups of four: what people compare. */
  fingerprint: string
}

/** One data key to be unwrapped. */
export interface UnwrapItem {
  /** The caller's name for the item, unique in the request; comes back with its answer. */
  id: string
  /** 16 bytes. */
  key_id: string
  /** Without its two length bytes. */
  stanza: string
  context: Record<string, string>
}

/** Body of `POST /v1/unwrap`. */
export interface UnwrapRequest {
  /** 1 to 1,000. */
  items: UnwrapItem[]
}

/** What became of one item; `data_key` has 32 bytes. */
export type UnwrapAnswer =
  | { id: string; data_key: string; key: string; version: number }
  | { id: string; problem: ItemProblem }

/** Answer of `POST /v1/unwrap`. */
export interface UnwrapResponse {
  /** In the order of the request. */
  items: UnwrapAnswer[]
}

/** One wrapped key to be rewrapped. */
export interface RewrapItem {
  id: string
  /** A whole wrapped key (SPEC §5). */
  wrapped_key: string
  context: Record<string, string>
  /** Keys of the service that take the place of the source key (default: itself), and recipients
   *  (`lhrecipient1-…`) of the old header that the service does not know. */
  to?: string[] | undefined
}

/** Body of `POST /v1/rewrap`. */
export interface RewrapRequest {
  /** 1 to 1,000. */
  items: RewrapItem[]
}

/** What became of one item; `wrapped_key` is a whole one (SPEC §5.1). */
export type RewrapAnswer =
  | { id: string; wrapped_key: string; key: string; version: number }
  | { id: string; problem: ItemProblem }

/** Answer of `POST /v1/rewrap`. */
export interface RewrapResponse {
  /** In the order of the request. `key` and `version` opened the old header. */
  items: RewrapAnswer[]
}

/** Body of `POST /v1/tokens`. */
export interface CreateTokenRequest {
  /** For people: what uses it. */
  name: string
  /** Whose it is: what it may do is then what both it and the grants of the principal allow. */
  principal?: string | undefined
  permissions: Permission[]
  /** Only these keys exist for the token; absent: all. */
  keys?: string[] | undefined
  expires_at?: string | undefined
}

/** Answer of `DELETE /v1/tokens/{token}`: which tokens no longer are. */
export interface RevokedTokens {
  id: string
  /** Ids of those that were made with it, or by these, and were not revoked before; the nearest first. */
  descendants: string[]
}

/** A token without its secret. */
export interface TokenInfo {
  /** 24 hexadecimal digits; not secret. */
  id: string
  name: string
  /** Whose it is; null: it stands for itself. */
  principal: string | null
  permissions: Permission[]
  keys: string[] | null
  created_at: string
  expires_at: string | null
  revoked_at: string | null
}

/** Answer of `POST /v1/tokens`. */
export interface CreatedToken extends TokenInfo {
  /** `lhk_<id>_<secret>`: shown this once. */
  token: string
}
