/**
 * Reads every row there is and holds them all against the cluster head: finds rows that were edited, put back as they
 * once were, taken away, added from elsewhere, or moved to another's place.
 */

import { equalBytes } from '@longhold/core'

import { HeadChange, openHead, sameRows } from './cluster-head.ts'
import type { ClusterHead } from './cluster-head.ts'
import { integrityViolation, ServiceError } from './errors.ts'
import { growingTables } from './grown-rows.ts'
import type { BesideReader, HeadRow, KeyStore, RowSpan, RowTotal, Snapshot } from './key-store.ts'
import type { RowMacs } from './row-mac.ts'
import { spansOf, sumSpan } from './row-sums.ts'
import { tableNames } from './rows.ts'
import type { TableName } from './rows.ts'

/** Up to here a thread of its own takes longer to begin than to verify. */
const fewRows = 10_000

export interface VerifyOptions {
  /**
   * What the rows of the tables that only grow add up to at an epoch, where that is known: then they are not read.
   * Default: they are.
   */
  readonly grownAt?: (epoch: number) => RowTotal | undefined
  /** Nobody else is to be answered meanwhile: this thread works too. Default: others work between two pages. */
  readonly isAlone?: boolean
  /** Ends it, with `storage_unavailable`: however many rows there are, a service stops at once. */
  readonly signal?: AbortSignal
}

export interface Verified {
  /** That all rows add up to. */
  readonly head: HeadRow
  /** Of the tables that only grow. */
  readonly grown: RowTotal
  /** Whether those were read. */
  readonly isWhole: boolean
}

/** @throws ServiceError `integrity_violation`, `storage_unavailable`. */
export async function verifyRows(
  store: Pick<KeyStore, 'snapshot'>,
  macs: RowMacs,
  { grownAt = () => undefined, isAlone = false, signal }: VerifyOptions = {},
): Promise<Verified> {
  const snapshot = await store.snapshot()
  let beside: BesideReader | undefined
  const stop = (): void => void beside?.close()
  signal?.addEventListener('abort', stop)
  try {
    let row = await snapshot.head()
    const isLarge = headOf(macs, row).rowCount > fewRows
    const openBeside = isLarge ? snapshot.beside : undefined
    let add: Add = (tables, sums) =>
      addSpans(spansOf(snapshot, tables), sums, (span) => sumHere(snapshot, macs, span, signal))
    if (openBeside !== undefined && isAlone) {
      add = (tables, sums) => addTogether(snapshot, macs, tables, sums)
    } else if (openBeside !== undefined) {
      const reader = await openBeside(macs)
      beside = reader
      if (signal?.aborted === true) throw stopping()
      row = reader.head
      add = (tables, sums) => addSpans(wholeTables(tables), sums, (span) => reader.sum(span))
    }
    const head = headOf(macs, row)
    const sums = { small: new HeadChange(), grown: new HeadChange() }
    await add(isAlone ? tableNames : smallTables, sums)
    const known = isAlone ? undefined : grownAt(head.epoch)
    if (known !== undefined) sums.grown.addTotal(known)
    else if (!isAlone) await add(growingTables, sums)
    const all = new HeadChange()
    all.addTotal(sums.small.total)
    all.addTotal(sums.grown.total)
    const found = all.applyTo(undefined)
    if (row !== undefined && sameRows(found, head)) {
      return { head: row, grown: sums.grown.total, isWhole: known === undefined }
    }
    const counts = `${found.rowCount} where ${head.rowCount} were written`
    throw integrityViolation(`the set of rows in the database (${counts})`)
  } finally {
    signal?.removeEventListener('abort', stop)
    await beside?.close()
    await snapshot.close()
  }
}

function headOf(macs: RowMacs, row: HeadRow | undefined): ClusterHead {
  if (row === undefined) throw integrityViolation('the database, without a cluster head,')
  return openHead(macs, row)
}

interface Sums {
  readonly small: HeadChange
  readonly grown: HeadChange
}

type Add = (tables: readonly TableName[], sums: Sums) => Promise<void>
type Spans = AsyncGenerator<RowSpan>

const smallTables = tableNames.filter((table) => !growingTables.includes(table))

async function addSpans(spans: Spans, sums: Sums, sum: (span: RowSpan) => Promise<RowTotal>): Promise<void> {
  for await (const span of spans) {
    const of = growingTables.includes(span.table) ? sums.grown : sums.small
    of.addTotal(await sum(span))
  }
}

async function* wholeTables(tables: readonly TableName[]): Spans {
  for (const table of tables) yield { table, after: undefined, count: undefined }
}

async function sumHere(
  snapshot: Snapshot,
  macs: RowMacs,
  span: RowSpan,
  signal?: AbortSignal,
): Promise<RowTotal> {
  return await sumSpan(snapshot, macs, span, async () => {
    if (signal?.aborted === true) throw stopping()
    await new Promise((resolve) => setImmediate(resolve))
  })
}

function stopping(): ServiceError {
  return new ServiceError('storage_unavailable', 'the rows are not verified any more: the service stops')
}

/** This thread and one beside it take the spans in turn; this one from the first, since the other has to begin. */
async function addTogether(
  snapshot: Snapshot,
  macs: RowMacs,
  tables: readonly TableName[],
  sums: Sums,
): Promise<void> {
  const spans = spansOf(snapshot, tables)
  const ours = await snapshot.head()
  const there = async (): Promise<void> => {
    const reader = await snapshot.beside?.(macs)
    try {
      // Nobody writes where nobody is answered; if somebody did, it reads another state.
      const isSame = ours !== undefined && reader !== undefined && equalBytes(reader.head.mac, ours.mac)
      if (isSame) await addSpans(spans, sums, (span) => reader.sum(span))
    } finally {
      await reader?.close()
    }
  }
  const done = await Promise.allSettled([
    addSpans(spans, sums, (span) => sumHere(snapshot, macs, span)),
    there(),
  ])
  for (const one of done) if (one.status === 'rejected') throw one.reason
}
