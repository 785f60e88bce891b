/** A run over a tree without the command line; as a program, for those who kill it. */

import { createPrivateKey, randomUUID } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { parseIdentity } from '@longhold/core'
import type { LocalIdentity } from '@longhold/core'

import { parseReencryptConfig } from '../../src/commands/reencrypt-config.ts'
import { chooseObjectFormats, makeObjectFormats } from '../../src/commands/reencrypt-object-formats.ts'
import { workOn } from '../../src/reencrypt/object-transform.ts'
import type { ObjectWorkSettings } from '../../src/reencrypt/object-transform.ts'
import { reencryptObjects } from '../../src/reencrypt/objects.ts'
import type { ObjectRunSettings } from '../../src/reencrypt/objects.ts'
import { suitesOf } from '../../src/shell/suites.ts'
import { dressObject, objectOpener } from '../../src/sources/object-open.ts'
import type { ObjectSource } from '../../src/sources/object-source.ts'
import { isUnfinished, newRunState } from '../../src/sources/run-state.ts'
import type { RunState } from '../../src/sources/run-state.ts'
import type { BucketConnection } from '../../src/sources/s3-signature.ts'
import { openTree } from '../../src/sources/tree.ts'
import { keySet, oldKey } from './legacy-values.ts'
import { identity } from './migration.ts'

const digestKey = new Uint8Array(32).fill(7)
export interface Change {
  readonly run?: Partial<ObjectRunSettings>
  readonly work?: Partial<ObjectWorkSettings>
  readonly key?: KeyObject
  readonly who?: LocalIdentity
  /** Of a bucket. */
  readonly connection?: BucketConnection
}

/** A whole run in this process, going on where an unfinished one stopped. */
export async function migrateTree(root: string, change: Change = {}): Promise<RunState> {
  const source = openTree({ path: root, shown: 'tree', include: [], exclude: [] })
  try {
    return await migrateObjects(source, change)
  } finally {
    await source.close()
  }
}

/** The same of a source that is open. */
export async function migrateObjects(
  source: ObjectSource,
  { run = {}, work = {}, key = oldKey, who = identity, connection }: Change = {},
): Promise<RunState> {
  const config = parseReencryptConfig({ reencrypt: undefined } as Parameters<typeof parseReencryptConfig>[0])
  const settings: ObjectWorkSettings = {
    formats: await makeObjectFormats(chooseObjectFormats(['jwe'], config), true),
    keys: keySet(key),
    acceptUnauthenticated: false,
    digestKey,
    open: objectOpener(connection),
    dress: dressObject(false),
    ...work,
  }
  const latest = source.latestRun()
  const state =
    latest !== undefined && isUnfinished(latest)
      ? latest
      : newRunState({
          runId: randomUUID(),
          ...source.runsAs,
          dataset: '{"path":"{path}"}',
          startedAt: new Date().toISOString(),
        })
  return await reencryptObjects({
    source,
    workers: { work: (task) => workOn(settings, task), close: async () => {} },
    state,
    recipients: [who.recipient],
    identities: [who],
    suites: await suitesOf([]),
    contextOf: (path) => ({ path }),
    checkEvery: 1,
    maxPasses: 20,
    digestKey,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...run,
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [root = '', keyFile = '', identityFile = ''] = process.argv.slice(2)
  const end = await migrateTree(root, {
    // Many commits, so that many kills meet one.
    run: { testingPageLimits: { maxObjects: 4, maxBytes: 1024 ** 2 }, checkEvery: 100 },
    key: createPrivateKey(readFileSync(keyFile)),
    who: parseIdentity(readFileSync(identityFile, 'utf8')),
  })
  process.exitCode = end.status === 'finished' && end.counts.dead === 0 ? 0 : 1
}
