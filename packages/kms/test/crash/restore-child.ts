/** A process of its own: restores a backup, or ends on the way (`hook.ts`). Says how many statements that took. */

import { parseIdentity } from '@longhold/core'

import { restoreService } from '../../src/server/restore.ts'
import { arm, disarm } from './hook.ts'

const [backup = '', identity = '', fingerprint = '', dataDir = '', database = ''] = process.argv.slice(2)
arm()
await restoreService({
  backup,
  identities: [parseIdentity(identity)],
  fingerprint,
  dataDir,
  ...(database === '' ? {} : { database }),
})
process.stdout.write(String(disarm()))
