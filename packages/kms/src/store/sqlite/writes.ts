/** A write is one transaction. It runs in the writer's thread, with statements that were prepared once. */

import { and, asc, eq, getTableColumns, lte, sql } from 'drizzle-orm'
import type { Column, Placeholder } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'

import type { Commit, Outcome, RowWrite } from '../../service/key-store.ts'
import { tableNames } from '../../service/rows.ts'
import type { TableName } from '../../service/rows.ts'
import { columnNamed } from '../sql/columns.ts'
import { isRow, keyColumnsIn, keyParameters, Refusal } from '../sql/rows.ts'
import { sqliteCode } from './connection.ts'
import type { Connection } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'
import { prepareWrite } from './statements.ts'
import type { WriteStatement } from './statements.ts'
import type { Forgetting } from './writer-messages.ts'

interface TableStatements {
  readonly insert: WriteStatement
  /** Where the generation is `expected`. */
  readonly update: WriteStatement
  readonly remove: WriteStatement
}

export interface Writes {
  readonly client: Connection['client']
  readonly tables: ReadonlyMap<TableName, TableStatements>
  readonly insertHead: WriteStatement
  readonly moveHead: WriteStatement
  readonly insertEntry: WriteStatement
  readonly forgetEntries: WriteStatement
}

export function prepareWrites(connection: Connection): Writes {
  const { client, db } = connection
  // Of any table drizzle takes placeholders for values; of one it knows it would have the values themselves.
  const head: SQLiteTable = clusterHead
  const entries: SQLiteTable = auditEntries
  const insertHead = db
    .insert(head)
    .values({ ...placeholders(head), id: 1 })
    .onConflictDoNothing()
  const moveHead = db
    .update(head)
    .set({ ...placeholders(head), id: 1 })
    .where(eq(clusterHead.epoch, sql.placeholder('expected')))
  const oldest = db
    .select({ run: auditEntries.run, seq: auditEntries.seq })
    .from(auditEntries)
    .where(
      and(eq(auditEntries.run, sql.placeholder('run')), lte(auditEntries.seq, sql.placeholder('through'))),
    )
    .orderBy(asc(auditEntries.seq))
    .limit(sql.placeholder('limit'))
  return {
    client,
    tables: new Map(tableNames.map((table) => [table, prepareTable(connection, table)])),
    insertHead: prepareWrite(connection, insertHead),
    moveHead: prepareWrite(connection, moveHead),
    insertEntry: prepareWrite(connection, db.insert(entries).values(placeholders(entries))),
    forgetEntries: prepareWrite(connection, db.delete(entries).where(sql`(run, seq) in (${oldest})`)),
  }
}

function prepareTable(connection: Connection, table: TableName): TableStatements {
  const { db } = connection
  const into: SQLiteTable = rowTables[table]
  const columns: Readonly<Record<string, Column>> = getTableColumns(rowTables[table])
  const isIt = and(
    isRow(keyColumnsIn(rowTables, table), keyParameters(table)),
    eq(columnNamed(columns, 'generation'), sql.placeholder('expected')),
  )
  const insert = db.insert(into).values(placeholders(into)).onConflictDoNothing()
  return {
    insert: prepareWrite(connection, insert),
    update: prepareWrite(connection, db.update(into).set(placeholders(into)).where(isIt)),
    remove: prepareWrite(connection, db.delete(into).where(isIt)),
  }
}

/** Each column is given by its name. */
function placeholders(table: SQLiteTable): Record<string, Placeholder> {
  const names = Object.keys(getTableColumns(table))
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)]))
}

/** @returns How many entries were deleted. */
export function runForgetting({ forgetEntries }: Writes, forgetting: Forgetting): number {
  return forgetEntries.run({ ...forgetting }).changes
}

export function runCommit(writes: Writes, commit: Commit): Outcome {
  try {
    writes.client.transaction(() => makeCommit(writes, commit)).immediate()
    return 'done'
  } catch (error) {
    if (error instanceof Refusal) return error.outcome
    // By an update: an insert does nothing instead.
    if (sqliteCode(error) === 'SQLITE_CONSTRAINT_UNIQUE') return 'conflict'
    throw error
  }
}

/** In the transaction that is open: there is one connection. */
function makeCommit(writes: Writes, commit: Commit): void {
  const { audit, head, expectedEpoch: expected } = commit
  const values = { ...head }
  const moved =
    expected === null ? writes.insertHead.run(values) : writes.moveHead.run({ ...values, expected })
  if (moved.changes !== 1) throw new Refusal('head_moved')
  for (const write of commit.writes) if (!makeWrite(writes, write)) throw new Refusal('conflict')
  const { head: row, expectedSeq } = audit
  const isNext = makeWrite(writes, { table: 'audit_heads', row, expected: expectedSeq })
  if (!isNext) throw new Refusal('chain_moved')
  for (const entry of audit.entries) {
    // Somebody's trigger can swallow it, and nothing may be answered that is not in the log.
    if (writes.insertEntry.run({ ...entry }).changes !== 1) throw new Refusal('chain_moved')
  }
}

/** False where the rows are not as it expects. */
function makeWrite({ tables }: Writes, write: RowWrite): boolean {
  const statements = tables.get(write.table)
  if (statements === undefined) return false
  const { expected } = write
  const run = (): { readonly changes: number } => {
    if ('removed' in write) return statements.remove.run({ ...write.removed, expected })
    if (expected === null) return statements.insert.run({ ...write.row })
    return statements.update.run({ ...write.row, expected })
  }
  return run().changes === 1
}
