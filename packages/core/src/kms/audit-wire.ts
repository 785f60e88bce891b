/** What travels about the audit log; see `wire.ts`. */

/** One entry, as it is in the log. */
export interface AuditEntry {
  /** 32 hexadecimal digits: one chain for each run of the service. */
  run: string
  /** 1, 2, 3, … in its chain. */
  seq: number
  /** JSON, exactly as its MAC covers it. */
  body: string
  /** HMAC-SHA-256, hexadecimal: only the service can check it. */
  mac: string
}

/** What is left out is not asked for. */
export interface AuditFilterQuery {
  action?: string | undefined
  /** The id of a token. */
  principal?: string | undefined
  key?: string | undefined
  since?: string | undefined
  until?: string | undefined
}

/** Something the service signed about itself, to be kept where the database is not. */
export interface CheckpointInfo {
  /** Counts checkpoints. */
  number: number
  created_at: string
  /** One line of JSON: body and signature (ML-DSA-65). */
  line: string
}

/** Body of a request to check the audit log. */
export interface VerifyAuditRequest {
  /** Lines of checkpoints that were kept elsewhere. */
  checkpoints?: string[] | undefined
}

/** Body of a request to delete entries of the audit log. */
export interface PruneAuditRequest {
  /** The line of a checkpoint: entries up to its heads go. */
  checkpoint: string
  /** SHA-256 of the export that has exactly these entries, hexadecimal. */
  export_sha256: string
}

/** Entries of the audit log that are in an export and no more in the database. */
export interface PruningInfo {
  /** Counts prunings. */
  number: number
  /** The number of the checkpoint at whose heads the log begins since then. */
  checkpoint: number
  /** How many went. */
  entries: number
  /** SHA-256 of the export, hexadecimal. */
  export_sha256: string
  pruned_at: string
  /** Id of a token. */
  pruned_by: string
}

/** What a check of the audit log found. */
export interface AuditVerdict {
  ok: boolean
  /** Of the service: each has a chain of its own. */
  runs: number
  /** In all chains. */
  entries: number
  /** One line each. */
  faults: string[]
}
