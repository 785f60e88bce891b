/**
 * Reads every row there is and holds them all against the cluster head: finds rows that were edited, put back as they
 * once were, taken away, added from elsewhere, or moved to another's place.
 */

import { HeadChange, openHead, sameRows } from './cluster-head.ts'
import { integrityViolation } from './errors.ts'
import { allRows } from './key-store.ts'
import type { HeadRow, KeyStore } from './key-store.ts'
import type { RowMacs } from './row-mac.ts'
import { tableNames } from './rows.ts'
import { checkRow } from './verified-rows.ts'

/**
 * Lets others work between two pages.
 *
 * @returns The head that all rows add up to.
 * @throws ServiceError `integrity_violation`, `storage_unavailable`.
 */
export async function verifyRows(store: Pick<KeyStore, 'snapshot'>, macs: RowMacs): Promise<HeadRow> {
  const snapshot = await store.snapshot()
  try {
    const row = await snapshot.head()
    if (row === undefined) throw integrityViolation('the database, without a cluster head,')
    const head = openHead(macs, row)
    const all = new HeadChange()
    for (const table of tableNames) {
      for await (const page of allRows(snapshot, table)) {
        for (const one of page) all.add(checkRow(macs, table, one).addend)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const found = all.applyTo(undefined)
    if (sameRows(found, head)) return row
    const counts = `${found.rowCount} where ${head.rowCount} were written`
    throw integrityViolation(`the set of rows in the database (${counts})`)
  } finally {
    await snapshot.close()
  }
}
