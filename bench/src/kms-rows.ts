/** Many rows in the database of a key service that is not running, past the service, as it would write them. */

import { randomBytes } from 'node:crypto'

import { KeyFile } from '../../packages/kms/src/seal/key-file.ts'
import { resolvePaths } from '../../packages/kms/src/server/paths.ts'
import { extend } from '../../packages/kms/src/service/audit-chain.ts'
import { insert, update, type Change } from '../../packages/kms/src/service/changes.ts'
import { everyRow } from '../../packages/kms/src/service/key-store.ts'
import { Ledger } from '../../packages/kms/src/service/ledger.ts'
import { OwnKeys } from '../../packages/kms/src/service/own-keys.ts'
import { openRoot } from '../../packages/kms/src/service/root-opening.ts'
import { RowMacs } from '../../packages/kms/src/service/row-mac.ts'
import type { AuditHeadRow } from '../../packages/kms/src/service/rows.ts'
import { AnchorFile } from '../../packages/kms/src/store/anchor-file.ts'
import { SqliteStore } from '../../packages/kms/src/store/sqlite/store.ts'
import { benchKey } from './kms-place.ts'

const rowsEach = 20_000

/** Versions of the first key, with seeds that nobody opens. */
export async function addVersions(dataDir: string, count: number): Promise<void> {
  await write(dataDir, async (ledger, commit) => {
    const key = await ledger.row('keys', { key: benchKey })
    const first = await ledger.row('versions', { key: benchKey, version: 1 })
    if (key === undefined || first === undefined) throw new Error('there is no first key')
    const old = { state: 'unwrap_only' as const }
    for (let from = 2; from < count; from += rowsEach) {
      const more = Math.min(rowsEach, count - from)
      await commit(Array.from({ length: more }, (_, index) => insert('versions', another(from + index, old))))
    }
    await commit([
      update('keys', key, { latestVersion: count, primaryVersion: count }),
      update('versions', first, old),
      insert('versions', another(count, {})),
    ])

    function another(version: number, state: { readonly state?: 'unwrap_only' }) {
      if (first === undefined) throw new Error('there is no first version')
      const { publicKey, sealedSeed } = first
      return {
        ...first,
        ...state,
        version,
        publicKey: new Uint8Array(randomBytes(publicKey.length)),
        recipientId: new Uint8Array(randomBytes(16)),
        sealedSeed: new Uint8Array(randomBytes(sealedSeed.length)),
      }
    }
  })
}

/** Data keys that were made for the first key. */
export async function addIssuedDataKeys(dataDir: string, count: number): Promise<void> {
  await write(dataDir, async (_, commit) => {
    for (let done = 0; done < count; done += rowsEach) {
      const issuedAt = Date.now()
      const ids = Array.from({ length: Math.min(rowsEach, count - done) }, () =>
        randomBytes(16).toString('hex'),
      )
      await commit(
        ids.map((keyId) => insert('issued_data_keys', { key: benchKey, keyId, version: 1, issuedAt })),
      )
    }
  })
}

async function write(
  dataDir: string,
  fill: (ledger: Ledger, commit: (changes: readonly Change[]) => Promise<void>) => Promise<void>,
): Promise<void> {
  const { database, keyFile, anchor = '' } = resolvePaths({ dataDir })
  const store = SqliteStore.open({ path: database })
  const { root } = await openRoot(KeyFile.read(keyFile), store)
  const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
  const ledger = new Ledger(store, new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret))
  const chain = { clusterId: root.clusterId, run: 'f'.repeat(32), ordinal: 2, startedAt: 0 }
  let head: AuditHeadRow | undefined
  await fill(ledger, async (changes) => {
    const audit = extend({ ...chain, key: ownKeys.newest('audit-chain') }, head, ['{}'])
    if ((await ledger.commit(changes, audit)) !== 'done') throw new Error('not written')
    head = audit.head
  })
  // As a service that closes: the next one finds the database as it knows it.
  await new AnchorFile(anchor).write({ clusterId: root.clusterId, ...(await ledger.sealedHead()) })
  await store.close()
}
