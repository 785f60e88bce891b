/**
 * How long a key service with many versions takes until it answers: nearly all of it is the verification of its rows.
 * Run with the number of versions; prints milliseconds, of the clock and of the processor.
 */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { KeyFile } from '../../packages/kms/src/seal/key-file.ts'
import { initService } from '../../packages/kms/src/server/init.ts'
import { startService } from '../../packages/kms/src/server/start.ts'
import { extend } from '../../packages/kms/src/service/audit-chain.ts'
import { insert, update } from '../../packages/kms/src/service/changes.ts'
import { everyRow } from '../../packages/kms/src/service/key-store.ts'
import { Ledger } from '../../packages/kms/src/service/ledger.ts'
import { OwnKeys } from '../../packages/kms/src/service/own-keys.ts'
import { openRoot } from '../../packages/kms/src/service/root-opening.ts'
import { RowMacs } from '../../packages/kms/src/service/row-mac.ts'
import { SqliteStore } from '../../packages/kms/src/store/sqlite/store.ts'

const count = Number(process.argv[2] ?? 100_000)
const dataDir = mkdtempSync(join(tmpdir(), 'longhold-bench-'))
const paths = { dataDir, adminSocket: 'none', port: 0 }
try {
  const { database, keyFile } = await initService({ ...paths, firstKey: 'many' })
  await addVersions(database, keyFile)
  for (let round = 1; round <= 5; round++) {
    const [began, used] = [performance.now(), process.cpuUsage()]
    const service = await startService(paths)
    const [ms, cpu] = [performance.now() - began, process.cpuUsage(used)]
    process.stdout.write(
      `${count} versions: ${ms.toFixed(0)} ms, processor ${((cpu.user + cpu.system) / 1000).toFixed(0)} ms\n`,
    )
    await service.close()
  }
} finally {
  rmSync(dataDir, { recursive: true })
}

/** In one transaction, past the service: rows as it would write them, with seeds that nobody opens. */
async function addVersions(database: string, keyFile: string): Promise<void> {
  const store = SqliteStore.open({ path: database })
  const { root } = await openRoot(KeyFile.read(keyFile), store)
  const ownKeys = new OwnKeys(root, await everyRow(store, 'own_keys'))
  const macs = new RowMacs(root.clusterId, ownKeys.newest('row-mac').secret)
  const ledger = new Ledger(store, macs)
  const key = await ledger.row('keys', { key: 'many' })
  const first = await ledger.row('versions', { key: 'many', version: 1 })
  if (key === undefined || first === undefined) throw new Error('there is no first key')
  const old = { state: 'unwrap_only' as const }
  const made = Array.from({ length: count - 1 }, (_, index) =>
    insert('versions', {
      ...first,
      ...(index + 2 === count ? {} : old),
      version: index + 2,
      publicKey: new Uint8Array(randomBytes(first.publicKey.length)),
      recipientId: new Uint8Array(randomBytes(16)),
      sealedSeed: new Uint8Array(randomBytes(first.sealedSeed.length)),
    }),
  )
  const changes = [
    update('keys', key, { latestVersion: count, primaryVersion: count }),
    update('versions', first, old),
    ...made,
  ]
  const chain = { clusterId: root.clusterId, run: 'f'.repeat(32), ordinal: 2, startedAt: 0 }
  const audit = extend({ ...chain, key: ownKeys.newest('audit-chain') }, undefined, ['{}'])
  if ((await ledger.commit(changes, audit)) !== 'done') throw new Error('not written')
  await store.close()
}
