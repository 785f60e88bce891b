/** Every row that the root seals, for whoever seals them anew under another one. */

import { equalBytes } from '@longhold/core'

import { update } from './changes.ts'
import type { Change } from './changes.ts'
import { integrityViolation } from './errors.ts'
import { identityAddress } from './identities.ts'
import { allRows } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import { ownKeyAddress } from './own-keys.ts'
import type { LocalAddress, Root } from './root.ts'
import type { Rows, Stored, TableName } from './rows.ts'
import { authAddress } from './slots.ts'

/** A row that an older root seals: what seals it anew. */
type Resealing = (root: Root) => Change

interface SealedTable {
  readonly table: TableName
  /** Rows that a root before `to` seals, a page at a time. */
  readonly old: (reads: RowReads, to: number) => AsyncGenerator<Resealing[]>
}

/** Every table with rows that the root seals. */
export const sealedTables: readonly SealedTable[] = [
  sealedTable(
    'own_keys',
    ({ rootVersion }) => rootVersion,
    (root, row, rootVersion) => ({
      rootVersion,
      sealed: resealed(root, ownKeyAddress(row), row.sealed, rootVersion),
    }),
  ),
  sealedTable(
    'slots',
    ({ authRootVersion }) => authRootVersion,
    (root, row, authRootVersion) => ({
      authRootVersion,
      sealedAuth: resealed(root, authAddress(row), row.sealedAuth, authRootVersion),
    }),
  ),
  sealedTable(
    'versions',
    ({ rootVersion }) => rootVersion,
    (root, row, rootVersion) => ({
      rootVersion,
      // Of a version that is destroyed there is nothing left to seal.
      ...(row.state === 'destroyed'
        ? {}
        : { sealedSeed: resealed(root, identityAddress(row), row.sealedSeed, rootVersion) }),
    }),
  ),
]

/**
 * Whether a new row is sealed under the newest root. One that was sealed before a rotation began, and is to be written
 * now, could come after the last look for rows of the old root, and be lost with that.
 */
export function isUnderNewestRoot(root: Root, { table, before, after }: Change): boolean {
  if (before !== undefined || after === undefined || table === 'cluster') return true
  return !('rootVersion' in after) || after.rootVersion >= root.version
}

function sealedTable<T extends TableName>(
  table: T,
  rootVersionOf: (row: Rows[T]) => number,
  reseal: (root: Root, row: Stored<Rows[T]>, to: number) => Partial<Rows[T]>,
): SealedTable {
  return {
    table,
    old: async function* (reads, to) {
      for await (const page of allRows(reads, table)) {
        yield (
          page
            .filter((row) => rootVersionOf(row) < to)
            // One of the union, whichever table it is.
            .map((row) => (root) => update(table, row, reseal(root, row, to)) as unknown as Change)
        )
      }
    },
  }
}

/** @throws ServiceError `integrity_violation` when it does not open, before or after. */
function resealed(root: Root, address: LocalAddress, sealed: Uint8Array, to: number): Uint8Array {
  const opened = root.open(address, sealed)
  if (opened === undefined) throw integrityViolation(`the row of ${address.id} version ${address.version}`)
  try {
    const anew = { ...address, rootVersion: to }
    const bytes = opened.use((plain) => root.seal(anew, plain))
    const again = root.open(anew, bytes)
    const isSame = again?.use((one) => opened.use((other) => equalBytes(one, other))) ?? false
    again?.wipe()
    if (!isSame) throw integrityViolation(`the row of ${address.id} just sealed anew`)
    return bytes
  } finally {
    opened.wipe()
  }
}
