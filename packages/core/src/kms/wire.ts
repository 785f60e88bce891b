/**
 * What travels between the key service and its clients, as JSON: bytes are base64url without padding, times RFC
 * 3339 in UTC. The service checks its schemas against these types when it is compiled.
 */

/** What a token may be allowed to do. None implies another. */
export const permissions = [
  'keys.create',
  'keys.list',
  'keys.read',
  'keys.rotate',
  'versions.list',
  'versions.update',
  // Read the public key; be the target of a rewrap.
  'wrap',
  'unwrap',
  'rewrap',
  'tokens.create',
  'tokens.list',
  'tokens.revoke',
] as const

/** One of `permissions`. */
export type Permission = (typeof permissions)[number]

/** Where a version of a key is in its life. Only `primary` and `unwrap_only` ones unwrap. */
export type VersionState =
  | 'pending'
  | 'primary'
  | 'unwrap_only'
  | 'disabled'
  | 'compromised'
  | 'destroy_scheduled'
  | 'destroyed'

/** The states a caller may ask for; the others come about by rotation. */
export type SettableState = 'unwrap_only' | 'disabled'

/** Why the service refused, stable across releases. */
export type ProblemCode =
  | 'malformed_request'
  | 'unknown_field'
  | 'unauthenticated'
  | 'permission_denied'
  | 'not_found'
  | 'invalid_state'
  | 'body_too_large'
  | 'too_many_items'
  | 'unwrap_failed'
  | 'recipient_unknown'
  | 'wrong_secret'
  | 'rate_limited'
  | 'internal'
  | 'sealed'
  | 'slot_unavailable'
  | 'audit_unavailable'
  | 'storage_unavailable'
  | 'draining'
  | 'integrity_violation'

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

/** Body of `POST /v1/keys`. */
export interface CreateKeyRequest {
  /** 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit. Unique, and never given again. */
  key: string
  /** Other keys that a rewrap may move data keys to; default none. */
  rewrap_to?: string[] | undefined
}

/** A key, without its versions. */
export interface KeyInfo {
  key: string
  purpose: 'wrap'
  /** Name of the suite in which this key wraps. */
  suite: string
  primary_version: number
  version_count: number
  /** Grows by one with each change of the key or its versions. */
  generation: number
  rewrap_to: string[]
  created_at: string
  rotated_at: string | null
}

/** One version of a key. */
export interface VersionInfo {
  version: number
  state: VersionState
  recipient_id: string
  created_at: string
  state_changed_at: string
}

/** Body of `PATCH /v1/keys/{key}/versions/{version}`. */
export interface UpdateVersionRequest {
  state: SettableState
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
  /** Of all versions that can unwrap now, the primary among them. */
  recipient_ids: string[]
  issued_at: string
  not_after: string
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
  permissions: Permission[]
  /** Only these keys exist for the token; absent: all. */
  keys?: string[] | undefined
  expires_at?: string | undefined
}

/** A token without its secret. */
export interface TokenInfo {
  /** 24 hexadecimal digits; not secret. */
  id: string
  name: string
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
