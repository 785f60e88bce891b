/** Which files a service has. */

import { platform } from 'node:os'
import { join, resolve } from 'node:path'

/** Where a service has its files; relative paths begin at the working directory. */
export interface ServicePaths {
  /** Made when it does not exist, for its owner only. */
  readonly dataDir: string
  /** `postgres://…`, without a password. Default: SQLite, `kms.db` in the data directory. */
  readonly database?: string | undefined
  /** Default: `root.key` in the data directory. Better kept elsewhere: with both, all keys can be opened. */
  readonly keyFile?: string | undefined
  /** Default: `admin.token` in the data directory. */
  readonly tokenFile?: string | undefined
  /**
   * Where the newest head of the database is kept, so that an older one is noticed; `none`: nowhere. Default:
   * `anchor.json` in the data directory. Better kept elsewhere: who puts back the whole directory puts back both.
   */
  readonly anchor?: string | undefined
  /** The Unix socket that unsealing is served on; default: `admin.sock` in the data directory; `none`: there is none. */
  readonly adminSocket?: string | undefined
}

export interface ResolvedPaths {
  readonly dataDir: string
  /** Of SQLite. */
  readonly database: string
  /** Set: PostgreSQL, and there is no file. */
  readonly databaseUrl: string | undefined
  readonly keyFile: string
  readonly tokenFile: string
  readonly adminSocket: string | undefined
  readonly anchor: string | undefined
}

export function resolvePaths({
  dataDir,
  database,
  keyFile,
  tokenFile,
  anchor = join(dataDir, 'anchor.json'),
  adminSocket = platform() === 'win32' ? 'none' : join(dataDir, 'admin.sock'),
}: ServicePaths): ResolvedPaths {
  return {
    dataDir: resolve(dataDir),
    database: join(resolve(dataDir), 'kms.db'),
    databaseUrl: database,
    keyFile: resolve(keyFile ?? join(dataDir, 'root.key')),
    tokenFile: resolve(tokenFile ?? join(dataDir, 'admin.token')),
    anchor: anchor === 'none' ? undefined : resolve(anchor),
    adminSocket: adminSocket === 'none' ? undefined : resolve(adminSocket),
  }
}
