/** What travels about keys and their versions between the key service and its clients; terms as in `wire.ts`. */

import type { PackagedState } from './key-package.ts'

/**
 * Where a version of a key is in its life. `primary` and `unwrap_only` ones unwrap; a `compromised` one only with a
 * permission of its own.
 */
export type VersionState =
  | 'pending'
  | 'primary'
  | 'unwrap_only'
  | 'disabled'
  | 'compromised'
  | 'destroy_scheduled'
  | 'destroyed'

/**
 * The states a caller may ask for; the others come about by rotation and destruction. `compromised` for the primary makes
 * a new one at once.
 */
export type SettableState = 'primary' | 'unwrap_only' | 'disabled' | 'compromised'

/** `wrap` keys read data keys; `raw-kem` ones only decapsulate, for other users of HPKE. Fixed at creation. */
export type KeyPurpose = 'wrap' | 'raw-kem'

/** When a key is rotated by itself. */
export interface RotationInfo {
  every_seconds: number
  next_at: string
}

/** Names and values, 1 to 63 and up to 255 characters; at most 64 of them. */
export type KeyLabels = Record<string, string>

/** What can be said of a key when it is made, and changed later. */
export interface KeySettings {
  /** Other keys that a rewrap may move data keys to; default none. */
  rewrap_to?: string[] | undefined
  /** Changing them changes who may do what: takes the permission to make grants too. */
  labels?: KeyLabels | undefined
  /** 3,600 to 315,360,000; null: by hand only, which is the default. */
  rotate_every_seconds?: number | null | undefined
  /** How long a destruction waits: 604,800 (seven days) at least, 2,592,000 (thirty) by default. */
  destroy_after_seconds?: number | undefined
  /** Whether `export` is allowed; default no. */
  exportable?: boolean | undefined
  /** Whether only data keys that were made by the service for this key are unwrapped; default no. */
  issued_only?: boolean | undefined
}

/** Body of `POST /v1/keys`. */
export interface CreateKeyRequest extends KeySettings {
  /** 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit. Unique, and never given again. */
  key: string
  /** Default: `wrap`. */
  purpose?: KeyPurpose | undefined
}

/** Body of `PATCH /v1/keys/{key}`: what is to change. */
export interface UpdateKeyRequest extends KeySettings {
  /** A key that is not enabled does nothing until it is again. */
  enabled?: boolean | undefined
  /** Versions below it do not unwrap; they may still be rewrapped from. Not above the primary. */
  min_unwrap_version?: number | undefined
}

/** A key, without its versions. */
export interface KeyInfo {
  key: string
  purpose: KeyPurpose
  /** Name of the suite in which this key wraps. */
  suite: string
  enabled: boolean
  primary_version: number
  version_count: number
  min_unwrap_version: number
  /** Grows by one with each change of the key or its versions; the ETag. */
  generation: number
  labels: KeyLabels
  rewrap_to: string[]
  rotation: RotationInfo | null
  destroy_after_seconds: number
  exportable: boolean
  /** When a private key of it last left the service; stays for ever. */
  exported_at: string | null
  /** Whether private keys of it came from elsewhere, which may have kept them. */
  imported: boolean
  issued_only: boolean
  created_at: string
  rotated_at: string | null
}

/** Body of `POST /v1/keys/{key}/rotate`. */
export interface RotateKeyRequest {
  /** `pending`: the new version is made and backed up before it becomes primary, by a change of its state. Default: `now`. */
  activate?: 'now' | 'pending' | undefined
}

/** One version of a key. */
export interface VersionInfo {
  version: number
  state: VersionState
  recipient_id: string
  created_at: string
  state_changed_at: string
  /** While it waits for its destruction: the earliest time of it. */
  destroy_at: string | null
}

/** Body of `PATCH /v1/keys/{key}/versions/{version}`. */
export interface UpdateVersionRequest {
  state: SettableState
}

/** A copy of the database that holds the private key of a version which is to go, or is gone. */
export interface HoldingBackup {
  backup: string
  taken_at: string
  /** When it is deleted, as far as the service was told. */
  expires_at: string | null
}

/** Answer of `POST /v1/keys/{key}/versions/{version}/destroy`. */
export interface DestroyAnswer extends VersionInfo {
  /** The destruction is final when the last of these is gone. */
  backups: HoldingBackup[]
}

/** Whether a version can go. */
export type DestroyVerdict = 'safe' | 'unsafe' | 'unknown'

/** Answer of `GET /v1/keys/{key}/versions/{version}/destroy-check`. */
export interface DestroyCheck {
  verdict: DestroyVerdict
  reasons: { code: string; speaks_for: DestroyVerdict; detail: string }[]
  checked_at: string
}

/** Uses of one version: data keys unwrapped, rewrapped from it, decapsulations. Whole days, in UTC. */
export interface VersionUsage {
  version: number
  uses: number
  uses_30_days: number
  uses_90_days: number
  last_used_at: string | null
}

/** Body of `PUT /v1/keys/{key}/census/{consumer}`. */
export interface CensusRequest {
  /** Wrapped keys by version, those with none left out; null: it is registered and counts later; absent: as before. */
  counts?: WrappedKeyCount[] | null | undefined
  /** Who speaks for the consumer from now on; default: who did, or whoever registers it. */
  assign_to?: { principal: string } | { token: string } | undefined
}

/** How many wrapped keys there are of one version. */
export interface WrappedKeyCount {
  version: number
  /** How many. */
  wrapped_keys: number
}

/** What a consumer last counted. */
export interface CensusInfo {
  consumer: string
  /** Null: it has not counted yet. */
  counts: WrappedKeyCount[] | null
  taken_at: string | null
  /** Who speaks for it: all tokens of the principal, or the one token. */
  registered_by: { principal: string | null; token: string }
}

/** Body of `POST /v1/keys/{key}/data-keys`; `{key}` may be an alias. */
export interface CreateDataKeysRequest {
  /** 1 to 1,000; default 1. */
  count?: number | undefined
  /** Of all of them. */
  context: Record<string, string>
  /** Whether the answer holds the data keys themselves; default no. */
  plaintext?: boolean | undefined
}

/** Answer of `POST /v1/keys/{key}/data-keys`. */
export interface CreateDataKeysResponse {
  key: string
  version: number
  /** `data_key` (32 bytes) only when it was asked for. */
  items: { key_id: string; wrapped_key: string; data_key?: string | undefined }[]
}

/** Body of `POST /v1/keys/{key}/decapsulate`. */
export interface DecapsulateRequest {
  version: number
  /** As long as the KEM's: 1,120 bytes for MLKEM768-X25519. */
  encapsulated_key: string
}

/** Answer of `POST /v1/keys/{key}/decapsulate`. */
export interface DecapsulateResponse {
  version: number
  /** 32 bytes. */
  shared_secret: string
}

/** Body of `POST /v1/keys/{key}/export`. */
export interface ExportKeyRequest {
  /** `lhrecipient1-…`: who can open the package. */
  recipient: string
}

/** Answer of `POST /v1/keys/{key}/export`. */
export interface KeyExport {
  /** The label of the package, needed to open it. */
  key: string
  purpose: KeyPurpose
  versions: { version: number; state: PackagedState }[]
  package: string
}

/** Body of `POST /v1/keys/import`: everything about the new key, and what it consists of. */
export interface ImportKeyRequest extends CreateKeyRequest {
  /** Sealed for the primary version of a `wrap` key of this service. */
  package: string
  /** The name in its label; default: the name of the new key. */
  packaged_as?: string | undefined
}

/** A second name of a key, for writers. */
export interface AliasInfo {
  alias: string
  key: string
  generation: number
  created_at: string
  changed_at: string
}

/** Body of `PUT /v1/aliases/{alias}`. */
export interface PutAliasRequest {
  key: string
}

/** The clock by which keys are rotated and destroyed. */
export interface ClockInfo {
  /** The latest time that was seen; it never goes back. */
  time: string
  /** Set while nothing is destroyed: when the clock jumped, and by how many seconds. */
  jump: { seen_at: string; by_seconds: number } | null
}
