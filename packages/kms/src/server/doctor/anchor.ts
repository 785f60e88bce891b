/** Whether a database that is put back to an earlier state would be noticed, and whether this one was. */

import { dirname } from 'node:path'

import { rollbackOf } from '../../service/anchor.ts'
import type { AnchoredHead } from '../../service/anchor.ts'
import type { DatabaseFacts } from '../../service/database-facts.ts'
import { ServiceError } from '../../service/errors.ts'
import { AnchorFile } from '../../store/anchor-file.ts'
import { failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const check = 'anchor'

/** What the anchor says: to be read before the database, which only goes on. */
export async function readAnchor(path: string | undefined): Promise<AnchoredHead | Finding | undefined> {
  if (path === undefined) return undefined
  try {
    return await new AnchorFile(path).read()
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return failure(check, error.message, error.hint ?? 'put back what was there')
  }
}

export function examineAnchor(
  path: string | undefined,
  dataDir: string,
  anchored: AnchoredHead | Finding | undefined,
  { clusterId, head }: DatabaseFacts,
): Finding {
  if (path === undefined) {
    const next = 'give it a place apart from the database: anchor'
    return warning(check, 'no anchor: a database that is put back to an earlier state is not noticed', next)
  }
  if (anchored !== undefined && 'check' in anchored) return anchored
  const rollback = rollbackOf(clusterId, head, anchored, path)
  if (rollback !== undefined)
    return failure(check, rollback.message, rollback.hint ?? 'restore the newest database')
  if (dirname(path) === dataDir) {
    const message = 'the anchor lies beside the database: who puts back the whole directory puts back both'
    return warning(check, message, 'name another place with anchor, on another disk, and move the file there')
  }
  return ok(check, `the database is not older than its anchor ${path}`)
}
