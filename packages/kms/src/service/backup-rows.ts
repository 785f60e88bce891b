/** What the service knows of the copies of its database. */

/** A copy of the database elsewhere, sealed to people outside (`backups.ts`). */
export interface BackupRow {
  /** 32 hexadecimal digits. */
  readonly backup: string
  /** What it holds is as it was at this moment, or a little later. */
  readonly takenAt: number
  /** When whoever keeps it deletes it. */
  readonly expiresAt: number
  /** Who can open it; hexadecimal. */
  readonly recipientIds: readonly string[]
  /** The name of its file, where the service wrote it; null: it was handed out. */
  readonly fileName: string | null
  /** Of the cluster head it holds; null, like size and digest: it was not finished. */
  readonly epoch: number | null
  readonly byteLength: number | null
  readonly sha256: Uint8Array | null
  /** When whoever has it said that it is whole and on a disk; null: nobody relies on it. */
  readonly confirmedAt: number | null
}
