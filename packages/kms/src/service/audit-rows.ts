/** What the service keeps about its audit log, beside the entries. */

/** A checkpoint, for whoever takes it elsewhere. */
export interface CheckpointRow {
  /** 1, 2, 3, … */
  readonly checkpoint: number
  /** One line of JSON: body and signature. */
  readonly line: string
  readonly createdAt: number
}

/** Entries of the audit log that are no more in the database (`audit-prune.ts`). */
export interface PruningRow {
  /** 1, 2, 3, … */
  readonly pruning: number
  /** The number of the checkpoint up to which entries went. */
  readonly checkpoint: number
  /** The checkpoint: where the log begins since then. */
  readonly line: string
  /** How many entries went. */
  readonly entries: number
  /** SHA-256 of the file that holds them now; hexadecimal. */
  readonly exportSha256: string
  readonly prunedAt: number
  /** A token. */
  readonly prunedBy: string
}

/** The end of a chain of the audit log, so that a cut tail shows. Its generation is `seq`. */
export interface AuditHeadRow {
  /** 32 hexadecimal digits: one chain for each run of the service. */
  readonly run: string
  /** The order in which the runs began. */
  readonly ordinal: number
  readonly seq: number
  /** MAC of the last entry. */
  readonly lastMac: Uint8Array
  /** MAC of this row under the key of the chain. */
  readonly headMac: Uint8Array
  readonly chainKeyVersion: number
  readonly startedAt: number
}

/** Where a chain of the log ends, or ended at some moment; the MAC of its last entry is hexadecimal. */
export interface PreviousRun {
  readonly run: string
  readonly seq: number
  readonly mac: string
}
