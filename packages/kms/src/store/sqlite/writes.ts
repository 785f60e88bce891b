/** A write is one transaction. It runs in the writer's thread, with statements that were prepared once. */

import { and, eq, getTableColumns, sql } from 'drizzle-orm'
import type { Column, Placeholder } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'

import type { Commit, Outcome, RowWrite } from '../../service/key-store.ts'
import { tableNames } from '../../service/rows.ts'
import type { TableName } from '../../service/rows.ts'
import { columnNamed } from '../sql/columns.ts'
import { isRow, keyColumnsIn, Refusal } from '../sql/rows.ts'
import { sqliteCode } from './connection.ts'
import type { Connection } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'
import { buffers, keyPlaceholders } from './table-reads.ts'

interface Statement {
  run(values: Record<string, unknown>): { readonly changes: number }
}

interface TableStatements {
  readonly insert: Statement
  /** Where the generation is `expected`. */
  readonly update: Statement
  readonly remove: Statement
}

export interface Writes {
  readonly db: Connection['db']
  readonly tables: ReadonlyMap<TableName, TableStatements>
  readonly insertHead: Statement
  readonly moveHead: Statement
  readonly insertEntry: Statement
}

export function prepareWrites({ db }: Connection): Writes {
  // Of any table drizzle takes placeholders for values; of one it knows it would have the values themselves.
  const head: SQLiteTable = clusterHead
  const entries: SQLiteTable = auditEntries
  return {
    db,
    tables: new Map(tableNames.map((table) => [table, prepareTable(db, table)])),
    insertHead: db
      .insert(head)
      .values({ ...placeholders(head), id: 1 })
      .onConflictDoNothing()
      .prepare(),
    moveHead: db
      .update(head)
      .set({ ...placeholders(head), id: 1 })
      .where(eq(clusterHead.epoch, sql.placeholder('expected')))
      .prepare(),
    insertEntry: db.insert(entries).values(placeholders(entries)).prepare(),
  }
}

function prepareTable(db: Connection['db'], table: TableName): TableStatements {
  const into: SQLiteTable = rowTables[table]
  const columns: Readonly<Record<string, Column>> = getTableColumns(rowTables[table])
  const isIt = and(
    isRow(keyColumnsIn(rowTables, table), keyPlaceholders(table)),
    eq(columnNamed(columns, 'generation'), sql.placeholder('expected')),
  )
  return {
    insert: db.insert(into).values(placeholders(into)).onConflictDoNothing().prepare(),
    update: db.update(into).set(placeholders(into)).where(isIt).prepare(),
    remove: db.delete(into).where(isIt).prepare(),
  }
}

/** Each column is given by its name. */
function placeholders(table: SQLiteTable): Record<string, Placeholder> {
  const names = Object.keys(getTableColumns(table))
  return Object.fromEntries(names.map((name) => [name, sql.placeholder(name)]))
}

export function runCommit(writes: Writes, commit: Commit): Outcome {
  try {
    writes.db.transaction(() => makeCommit(writes, commit), { behavior: 'immediate' })
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
  const values = buffers(head)
  const moved =
    expected === null ? writes.insertHead.run(values) : writes.moveHead.run({ ...values, expected })
  if (moved.changes !== 1) throw new Refusal('head_moved')
  for (const write of commit.writes) if (!makeWrite(writes, write)) throw new Refusal('conflict')
  const { head: row, expectedSeq } = audit
  const isNext = makeWrite(writes, { table: 'audit_heads', row, expected: expectedSeq })
  if (!isNext) throw new Refusal('chain_moved')
  for (const entry of audit.entries) writes.insertEntry.run(buffers(entry))
}

/** False where the rows are not as it expects. */
function makeWrite({ tables }: Writes, write: RowWrite): boolean {
  const statements = tables.get(write.table)
  if (statements === undefined) return false
  const { expected } = write
  const run = (): { readonly changes: number } => {
    if ('removed' in write) return statements.remove.run({ ...buffers(write.removed), expected })
    if (expected === null) return statements.insert.run(buffers(write.row))
    return statements.update.run({ ...buffers(write.row), expected })
  }
  return run().changes === 1
}
