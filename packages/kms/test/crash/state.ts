/** Where everything stands that an operation can change: the same for two ends of it that are the same. */

import type { AuditEvent } from '../../src/service/audit-entry.ts'
import { everyRow } from '../../src/service/key-store.ts'
import type { KeyStore } from '../../src/service/key-store.ts'
import { tableNames } from '../../src/service/rows.ts'

/** Every row's generation is in it, so that no write is missed; what is random is not. */
export async function stateOf(store: KeyStore, actions: readonly string[]): Promise<string> {
  const tables: Record<string, readonly [rows: number, generations: number]> = {}
  for (const table of tableNames) {
    // Each run of the service has a new one.
    if (table === 'audit_heads') continue
    const rows = await everyRow(store, table)
    tables[table] = [rows.length, rows.reduce((sum, { generation }) => sum + generation, 0)]
  }
  const versions = await everyRow(store, 'versions')
  return JSON.stringify({
    tables,
    keys: (await everyRow(store, 'keys')).map(({ key, primaryVersion }) => [key, primaryVersion]),
    versions: versions.map(({ key, version, state, rootVersion, sealedSeed }) => [
      key,
      version,
      state,
      rootVersion,
      sealedSeed.length,
    ]),
    slots: (await everyRow(store, 'slots')).map((row) => [row.rootVersion, row.nextRoot === null]),
    roots: (await everyRow(store, 'cluster')).map((row) => [row.rootVersion, row.nextRootVersion]),
    entries: await countEntries(store, actions),
  })
}

/** A change and its entry come together or not at all. */
async function countEntries(store: KeyStore, actions: readonly string[]): Promise<number[]> {
  const counts = new Map(actions.map((action) => [action, 0]))
  for (const run of await store.auditRuns()) {
    for (const { body } of await store.auditEntries(run, { limit: Number.MAX_SAFE_INTEGER })) {
      const { action } = JSON.parse(body) as Pick<AuditEvent, 'action'>
      const count = counts.get(action)
      if (count !== undefined) counts.set(action, count + 1)
    }
  }
  return [...counts.values()]
}
