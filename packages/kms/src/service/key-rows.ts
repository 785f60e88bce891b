/** Rows about keys and what happens to them; `rows.ts` has the others, and what all tables have in common. */

import type { KeyPurpose, VersionState } from '@longhold/core/kms'

export interface KeyRow {
  readonly key: string
  readonly purpose: KeyPurpose
  readonly kemId: number
  /** A key that is not does nothing. */
  readonly enabled: boolean
  readonly latestVersion: number
  readonly primaryVersion: number
  /** Versions below it do not unwrap. */
  readonly minUnwrapVersion: number
  readonly rewrapTo: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** How long a destruction waits. */
  readonly destroyAfterMs: number
  readonly exportable: boolean
  /** When its seeds last left the service. */
  readonly exportedAt: number | null
  /** Whether its seeds came from elsewhere. */
  readonly imported: boolean
  /** Whether it unwraps only data keys that were made here for it. */
  readonly issuedOnly: boolean
  readonly createdAt: number
  readonly rotatedAt: number | null
}

export interface VersionRow {
  readonly key: string
  readonly version: number
  readonly state: VersionState
  readonly kemId: number
  readonly publicKey: Uint8Array
  /** 16 bytes. */
  readonly recipientId: Uint8Array
  readonly rootVersion: number
  readonly sealedSeed: Uint8Array
  readonly createdAt: number
  readonly stateChangedAt: number
  /** Kept when it goes on to other states: it never unwraps again as if nothing had been. */
  readonly compromisedAt: number | null
  /** The end of the waiting period, while there is one or after it. */
  readonly destroyAt: number | null
}

/** When a key is rotated by itself (`rotation-schedule.ts`). */
export interface ScheduleRow {
  readonly key: string
  readonly everyMs: number
  readonly nextAt: number
}

/** A destruction that waits: `versions` says so too, and this finds them. */
export interface DestructionRow {
  readonly key: string
  readonly version: number
  readonly destroyAt: number
}

/** A second name of a key. */
export interface AliasRow {
  readonly alias: string
  readonly key: string
  readonly createdAt: number
  readonly changedAt: number
}

/** Uses of a version (`usage-counts.ts`). */
export interface UsageRow {
  readonly key: string
  readonly version: number
  readonly total: number
  readonly lastUsedAt: number
  readonly days: readonly (readonly [day: number, uses: number])[]
}

/** What a store of wrapped keys last counted. */
export interface CensusRow {
  readonly key: string
  readonly consumer: string
  /** By version; null: it has not counted yet. */
  readonly counts: readonly (readonly [version: number, wrappedKeys: number])[] | null
  readonly takenAt: number | null
  /** Who speaks for it: a principal; null: `token` alone. */
  readonly principal: string | null
  readonly token: string
}

/** A data key that was made here. */
export interface IssuedDataKeyRow {
  readonly key: string
  /** 32 hexadecimal digits. */
  readonly keyId: string
  readonly version: number
  readonly issuedAt: number
}

/** The latest time there was (`trusted-time.ts`). There is one. */
export interface ClockRow {
  readonly clock: string
  readonly latest: number
  /** What the clock showed when this was written. */
  readonly shown: number
  readonly jumpSeenAt: number | null
  readonly jumpByMs: number | null
}
