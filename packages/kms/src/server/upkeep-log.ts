/** What the service did by itself, as lines of its log; which keys they were is in the audit log. */

import type { Log } from '../http/env.ts'
import { ServiceError } from '../service/errors.ts'
import type { UpkeepReport } from '../service/upkeep.ts'

export function upkeepLog(log: Log): (report: UpkeepReport) => void {
  return ({ rotated, destroyed, failures }) => {
    if (rotated.length > 0) log({ level: 'info', message: `keys rotated: ${rotated.length}` })
    if (destroyed.length > 0) log({ level: 'info', message: `versions destroyed: ${destroyed.length}` })
    for (const failure of failures) {
      const code = failure instanceof ServiceError ? failure.code : 'internal'
      log({ level: 'error', message: 'upkeep failed', code })
    }
  }
}
