/** Checks the audit log of a service that is not running. */

import type { AuditReport } from '../service/audit-verify.ts'
import { verifyAuditOf } from '../service/service.ts'
import { readCheckpointLines } from '../store/checkpoint-folder.ts'
import { withStopped } from './stopped.ts'
import type { StoppedOptions } from './stopped.ts'

/** Where the service has its files, what opens one of its slots, and what the log is held against. */
export interface VerifyOptions extends StoppedOptions {
  /** Where checkpoints are copied to. */
  readonly checkpointFolder?: string | undefined
}

/** Older ones show nothing that newer ones do not. */
const maxCheckpoints = 100

/**
 * Checks the whole log, and holds it against the checkpoints that were copied, and others.
 *
 * @param lines Of checkpoints that were kept elsewhere.
 * @throws ServiceError `database_in_use` while the service runs on SQLite, `not_initialised`, `wrong_secret`,
 * `integrity_violation`, `storage_unavailable`, `bad_config` for a folder without checkpoints, `malformed_request` for a
 * checkpoint of somebody else.
 */
export async function verifyAudit(
  options: VerifyOptions,
  lines: readonly string[] = [],
): Promise<AuditReport> {
  const { checkpointFolder: folder } = options
  const copied = folder === undefined ? [] : await readCheckpointLines(folder, maxCheckpoints)
  return await withStopped(options, (store, opener) =>
    verifyAuditOf({ store, opener }, [...copied, ...lines]),
  )
}
