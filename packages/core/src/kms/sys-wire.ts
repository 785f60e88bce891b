/** What travels about the root key of a key service and the slots it is kept in, as JSON. */

/** What opens a slot. */
export type SlotKind = 'key-file' | 'passphrase' | 'shares' | 'key-service'

/** Whether a key service can use its keys, and what would open it. Told to everybody who asks. */
export interface SealStatus {
  sealed: boolean
  /** False: it waits to be set up, and has no keys. */
  initialised: boolean
  /** What there are slots for. */
  kinds: SlotKind[]
  /** How far a slot of shares has come: how many were given, and how many it takes; null when none was. */
  shares: { given: number; threshold: number } | null
}

/** How a key service is set up that was started to wait for it. */
export interface InitRequest {
  /** Two slots before the first key, and a first token for one use, within an hour. */
  production?: boolean | undefined
  /** In production too, one slot is meant. */
  single_slot?: boolean | undefined
  /** The name of a key to begin with. */
  first_key?: string | undefined
}

/** What was made, and where on the machine of the service. */
export interface InitAnswer {
  /** 32 hexadecimal digits. */
  cluster: string
  database: string
  key_file: string
  /** Holds the first token. */
  token_file: string
  /** Of the signing identity, for clients to pin. */
  fingerprint: string
  /** How many slots there must be before the first key. */
  min_slots: number
  /** `lhrecipient1-…` of the first key; null without one. */
  recipient: string | null
}

/** One attempt to unseal. Exactly one of these; each holds a secret, or says that the configured one is to be used. */
export type UnsealRequest =
  | { passphrase: string }
  /** One of several; `LONGHOLD-SHARE-1-…` */
  | { share: string }
  /** The 32 bytes of a key file. */
  | { key_file: string }
  /** Asks the other key service, which the configuration names. */
  | { key_service: true }
  /** Gives up the shares that were given so far. */
  | { forget_shares: true }

/**
 * What opens a slot, or one share of it, and which database is accepted by whom has it: the epochs of database and
 * anchor as `41:57` or `41:none`; `any`: whatever they are; left out: none, the answer names them.
 */
export type AcceptRollbackRequest = Exclude<UnsealRequest, { forget_shares: true }> & {
  epochs?: string | undefined
}

/** What there was to accept. */
export interface RollbackAnswer {
  /** Whether it was accepted now. */
  accepted: boolean
  /** For people; null: there is nothing to accept, or more shares are needed. */
  what: string | null
  /** Counts commits, as the next one. */
  database_epoch: number | null
  /** Null too when there is no anchor, or that of another cluster. */
  anchor_epoch: number | null
  /** As in `SealStatus`. */
  shares: { given: number; threshold: number } | null
}

/** One slot, without anything that opens it. */
export interface SlotInfo {
  slot: string
  kind: SlotKind
  /** For people: whose it is, or where. */
  label: string
  /** How many of how many shares open it; null for other kinds. */
  shares: { threshold: number; count: number } | null
  /** The version of the root key it holds. */
  root_version: number
  created_at: string
}

/** What a new slot is to be opened with. */
export type CreateSlotRequest =
  | { kind: 'key-file'; label: string; key_file: string }
  | { kind: 'passphrase'; label: string; passphrase: string }
  | { kind: 'shares'; label: string; threshold: number; count: number }
  | { kind: 'key-service'; label: string }

/** A slot that was made. */
export interface CreatedSlot extends SlotInfo {
  /** Of a slot of shares: their texts, shown this once; empty for other kinds. */
  share_texts: string[]
}

/** What the service knows of a copy of its database. */
export interface BackupInfo {
  /** 32 hexadecimal digits. */
  backup: string
  /** What it holds is as it was at this moment, or a little later. */
  taken_at: string
  /** When whoever keeps it deletes it. */
  expires_at: string
  /** Who can open it; hexadecimal. */
  recipient_ids: string[]
  /** The name of its file in the folder of the service; null: it was handed out. */
  file_name: string | null
  /** Of the cluster head it holds; null, like size and digest, where it was not finished. */
  epoch: number | null
  bytes: number | null
  /** Hexadecimal. */
  sha256: string | null
  /** When whoever has it said that it is whole; null: nobody relies on it. */
  confirmed_at: string | null
}

/** Body of a request that says a backup is whole, and on a disk. */
export interface ConfirmBackupRequest {
  /** Of the file, hexadecimal. */
  sha256: string
}

/** How far the replacement of the root key has come. */
export interface RootRotation {
  /** The version that every row was sealed under before. */
  root_version: number
  /** The one that takes its place; null when no rotation is under way. */
  next_root_version: number | null
  /** Rows still sealed under an older version. */
  rows_left: number
}
