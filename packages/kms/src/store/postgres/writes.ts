/** A write is one transaction, which waits for the head first: all writers of a cluster come one after the other. */

import { and, eq, getTableColumns } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'

import type { Commit, Outcome, RowWrite } from '../../service/key-store.ts'
import { isRow, keyColumnsIn, Refusal } from '../sql/rows.ts'
import { postgresCode, readCommitted, retried } from './connection.ts'
import type { Database, Transaction } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'

const uniqueViolation = '23505'

/** @throws ServiceError `storage_unavailable`. */
export async function runCommit(db: Database, commit: Commit): Promise<Outcome> {
  return await retried(async () => {
    try {
      await db.transaction((tx) => makeCommit(tx, commit), readCommitted)
      return 'done'
    } catch (error) {
      if (error instanceof Refusal) return error.outcome
      // By an update: what is inserted is asked for first.
      if (postgresCode(error) === uniqueViolation) return 'conflict'
      throw error
    }
  })
}

async function makeCommit(tx: Transaction, commit: Commit): Promise<void> {
  const { audit, head, expectedEpoch } = commit
  if (expectedEpoch === null) {
    const made = await tx
      .insert(clusterHead)
      .values({ id: 1, ...head })
      .onConflictDoNothing()
      .returning({ id: clusterHead.id })
    if (made.length !== 1) throw new Refusal('head_moved')
  } else {
    const [there] = await tx.select({ epoch: clusterHead.epoch }).from(clusterHead).for('update')
    if (there?.epoch !== expectedEpoch) throw new Refusal('head_moved')
    await tx.update(clusterHead).set({ ...head })
  }
  for (const write of commit.writes) if (!(await makeWrite(tx, write))) throw new Refusal('conflict')
  const { head: row, expectedSeq: expected } = audit
  const isNext = await makeWrite(tx, { table: 'audit_heads', row, expected })
  if (!isNext) throw new Refusal('chain_moved')
  if (audit.entries.length === 0) return
  const written = await tx
    .insert(auditEntries)
    .values([...audit.entries])
    .returning({ seq: auditEntries.seq })
  // Somebody's trigger can swallow them, and nothing may be answered that is not in the log.
  if (written.length !== audit.entries.length) throw new Refusal('chain_moved')
}

/** False where the rows are not as it expects. */
async function makeWrite(tx: Transaction, write: RowWrite): Promise<boolean> {
  const table: PgTable = rowTables[write.table]
  const columns: Readonly<Record<string, PgColumn>> = getTableColumns(rowTables[write.table])
  const generation = columns['generation']
  if (generation === undefined) return false
  const key = 'removed' in write ? write.removed : write.row
  const isIt = and(isRow(keyColumnsIn(rowTables, write.table), { ...key }), eq(generation, write.expected))
  const returning = { generation }
  if ('removed' in write) return (await tx.delete(table).where(isIt).returning(returning)).length === 1
  // A row has the columns of its table, and of a table that is not known drizzle takes any.
  const row = write.row as unknown as Record<string, unknown>
  const values = Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]]))
  const written =
    write.expected === null
      ? await tx.insert(table).values(values).onConflictDoNothing().returning(returning)
      : await tx.update(table).set(values).where(isIt).returning(returning)
  return written.length === 1
}
