/** What rows add up to, a part of a table at a time, so that several threads can share the work. */

import { HeadChange } from './cluster-head.ts'
import { pageRows } from './key-store.ts'
import type { RowReads, RowSpan, RowTotal, Snapshot } from './key-store.ts'
import type { RowMacs } from './row-mac.ts'
import type { TableName } from './rows.ts'
import { checkRow } from './verified-rows.ts'

/** Few enough that two threads end at nearly the same time. */
const spanRows = 5000

/** The tables as spans, found one after the other, as they are asked for. */
export async function* spansOf(snapshot: Snapshot, tables: readonly TableName[]): AsyncGenerator<RowSpan> {
  for (const table of tables) {
    let after: object | undefined
    for (;;) {
      const last: object | undefined = await snapshot.keyAfter?.(table, after, spanRows)
      yield { table, after, count: last === undefined ? undefined : spanRows }
      if (last === undefined) break
      after = last
    }
  }
}

/**
 * Checks the MAC of each row and adds them up.
 *
 * @param pause Called between two pages.
 * @throws ServiceError `integrity_violation`, `storage_unavailable`.
 */
export async function sumSpan(
  reads: RowReads,
  macs: RowMacs,
  { table, after, count = Number.POSITIVE_INFINITY }: RowSpan,
  pause?: () => Promise<void>,
): Promise<RowTotal> {
  const sum = new HeadChange()
  let last = after
  for (let left = count; left > 0;) {
    const limit = Math.min(left, pageRows)
    const page = await reads.rows(table, { after: last, limit })
    for (const row of page) sum.add(checkRow(macs, table, row).addend)
    if (page.length < limit) break
    last = page.at(-1)
    left -= page.length
    await pause?.()
  }
  return sum.total
}
