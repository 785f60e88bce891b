/** Sets a service up, once: key file, database, first token, perhaps a first key. */

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

import { KeyFile } from '../seal/key-file.ts'
import { prepareService } from '../service/beginning.ts'
import type { FirstKey } from '../service/beginning.ts'
import { alreadyInitialised, ServiceError } from '../service/errors.ts'
import type { KeyStore } from '../service/key-store.ts'
import { keyPattern } from '../service/keys.ts'
import { clusterOf } from '../service/root-opening.ts'
import { AnchorFile } from '../store/anchor-file.ts'
import { makeDatabase } from './open-store.ts'
import { resolvePaths } from './paths.ts'
import type { ResolvedPaths, ServicePaths } from './paths.ts'

/** Where a new service has its files, and what it begins with. */
export interface InitOptions extends ServicePaths {
  /** The name of a key to begin with. */
  readonly firstKey?: string | undefined
  /**
   * Not to try it out: there is no key before two slots, and the first token makes one other token, within an hour.
   * Default false: one key file is enough, and the first token does everything for ever.
   */
  readonly production?: boolean | undefined
  /** In production too, one slot is meant. */
  readonly singleSlot?: boolean | undefined
}

/** What was made, and where. */
export interface InitResult {
  readonly clusterId: string
  readonly database: string
  readonly keyFile: string
  /** Whether the key file was made now; one that was there is used as it is. */
  readonly keyFileIsNew: boolean
  /** Fingerprint of the signing identity, for clients to pin. */
  readonly fingerprint: string
  /** How many slots there must be before the first key. */
  readonly minSlots: number
  /** Holds the first token, which may do everything; in production make one other token with it, within an hour. */
  readonly tokenFile: string
  readonly firstKey: FirstKey | undefined
}

/**
 * Makes what is missing and overwrites nothing.
 *
 * @throws ServiceError `already_initialised`, `database_in_use`, `wrong_key_file`, `bad_config`,
 * `storage_unavailable`.
 */
export async function initService(options: InitOptions): Promise<InitResult> {
  const plan = planInit(options)
  makeDirectory(plan.paths.dataDir)
  const store = await makeDatabase(plan.paths)
  try {
    return await initStore(store, plan)
  } finally {
    await store.close()
  }
}

/** What is to be made. */
export interface InitPlan {
  readonly paths: ResolvedPaths
  readonly minSlots: number
  readonly isBootstrap: boolean
  readonly firstKey: string | undefined
}

/** @throws ServiceError `bad_config` for what cannot be made. */
export function planInit(options: InitOptions): InitPlan {
  const { firstKey, production = false, singleSlot = false } = options
  const tokenPath = options.tokenFile ?? (production ? join(options.dataDir, 'bootstrap.token') : undefined)
  const paths = resolvePaths({ ...options, tokenFile: tokenPath })
  const minSlots = production && !singleSlot ? 2 : 1
  if (firstKey !== undefined && minSlots > 1) {
    throw new ServiceError('bad_config', 'there is no key before there are two slots', {
      hint: 'leave the first key out, or say that a single slot is meant',
    })
  }
  if (firstKey !== undefined && !keyPattern.test(firstKey)) {
    throw new ServiceError('bad_config', `${firstKey} cannot be the name of a key`, {
      hint: '1 to 64 of a-z 0-9 . _ -, a letter or digit first',
    })
  }
  return { paths, minSlots, isBootstrap: production, firstKey }
}

/** In a store that is open. Throws as `initService`. */
export async function initStore(
  store: KeyStore,
  { paths, minSlots, isBootstrap, firstKey }: InitPlan,
): Promise<InitResult> {
  const { database, keyFile, tokenFile, anchor } = paths
  if ((await clusterOf(store)) !== undefined) throw alreadyInitialised()
  if (existsSync(tokenFile)) throw fileIsThere(tokenFile)
  const { keyFile: opener, isNew } = KeyFile.readOrCreate(keyFile)
  try {
    const { beginning, write } = await prepareService({ store, opener, minSlots, isBootstrap }, firstKey)
    // Before the database: a service whose only token nobody has would be of no use.
    writeToken(tokenFile, beginning.adminToken)
    try {
      await write()
    } catch (error) {
      rmSync(tokenFile)
      throw error
    }
    const { clusterId, fingerprint, firstKey: created } = beginning
    const head = await store.head()
    if (anchor !== undefined && head !== undefined) {
      await new AnchorFile(anchor).write({
        clusterId: Uint8Array.from(Buffer.from(clusterId, 'hex')),
        ...head,
      })
    }
    return {
      clusterId,
      database: paths.databaseUrl ?? database,
      keyFile,
      keyFileIsNew: isNew,
      fingerprint,
      minSlots,
      tokenFile,
      firstKey: created,
    }
  } finally {
    opener.close()
  }
}

export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new ServiceError('bad_config', `the data directory ${path} cannot be made (${codeOf(error)})`, {
      hint: 'give a directory this user may write in',
    })
  }
}

function writeToken(path: string, token: string): void {
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw fileIsThere(path)
    throw new ServiceError('bad_config', `the token file ${path} cannot be written (${codeOf(error)})`, {
      hint: 'give a place this user may write in',
    })
  }
  try {
    writeSync(file, `${token}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

export function fileIsThere(path: string): ServiceError {
  return new ServiceError('bad_config', `${path} is there already, and would be overwritten`, {
    hint: 'move it away, or give another place for the token; nothing was initialised',
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
