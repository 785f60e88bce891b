/** Reads of any table. Those by key are prepared once: preparing costs several times what running does. */

import { and, asc, eq, gt, sql } from 'drizzle-orm'
import type { SQL } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'

import type { AuditRow, HeadRow, Page, RowPage, RowReads } from '../../service/key-store.ts'
import { tableNames } from '../../service/rows.ts'
import type { KeyOf, Rows, Stored, TableName } from '../../service/rows.ts'
import { isInPage, isRow, keyColumnsIn, keyParameters, plain } from '../sql/rows.ts'
import { translated } from './connection.ts'
import type { Connection } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'
import { prepareRead } from './statements.ts'
import type { ReadStatement } from './statements.ts'

export class TableReads implements RowReads {
  readonly #connection: Connection
  readonly #byKey: { readonly [T in TableName]?: ReadStatement<T> }
  readonly #head: { get(): HeadRow | undefined }
  /** Of whole tables. */
  readonly #pages = new Map<TableName, WholePages<TableName>>()

  /** @throws ServiceError `storage_unavailable`. */
  constructor(connection: Connection) {
    this.#connection = connection
    this.#byKey = translated(() =>
      Object.fromEntries(tableNames.map((table) => [table, prepareByKey(connection, table)])),
    )
    const { epoch, rowCount, maskedSum, mac } = clusterHead
    this.#head = translated(() =>
      connection.db.select({ epoch, rowCount, maskedSum, mac }).from(clusterHead).prepare(),
    )
  }

  async head(): Promise<HeadRow | undefined> {
    const row = translated(() => this.#head.get())
    return row && { ...row, maskedSum: plain(row.maskedSum), mac: plain(row.mac) }
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    return this.#byKey[table]?.get(key)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    const { within, after, limit } = page
    if (within !== undefined) {
      const isOne = isInPage(keyColumnsIn(rowTables, table), {
        within: { ...within },
        after: after && { ...after },
      })
      return translated(() =>
        prepareRead(this.#connection, table, selectPage(this.#connection.db, table, isOne).limit(limit)),
      ).all({})
    }
    // One that was kept for a table reads that table.
    const kept = this.#pages.get(table) as WholePages<T> | undefined
    const pages = kept ?? translated(() => prepareWholePages(this.#connection, table))
    if (kept === undefined) this.#pages.set(table, pages)
    return after === undefined ? pages.first.all({ limit }) : pages.next.all({ ...after, limit })
  }

  async keyAfter<T extends TableName>(
    table: T,
    after: KeyOf<T> | undefined,
    rows: number,
  ): Promise<KeyOf<T> | undefined> {
    const from: SQLiteTable = rowTables[table]
    const columns = keyColumnsIn(rowTables, table)
    // The key's index has all there is to know.
    const [row] = translated(() =>
      this.#connection.db
        .select(Object.fromEntries(columns.map(([name, column]) => [name, sql`${column}`])))
        .from(from)
        .where(isInPage(columns, { after: after && { ...after } }))
        .orderBy(...columns.map(([, column]) => asc(column)))
        .limit(1)
        .offset(rows - 1)
        .all(),
    )
    // The columns of its key.
    return row as KeyOf<T> | undefined
  }

  async auditEntries(run: string, { after = 0, limit }: Page<number>): Promise<AuditRow[]> {
    return translated(() =>
      this.#connection.db
        .select()
        .from(auditEntries)
        .where(and(eq(auditEntries.run, run), gt(auditEntries.seq, after)))
        .orderBy(asc(auditEntries.seq))
        .limit(limit)
        .all(),
    ).map((row) => ({ ...row, mac: plain(row.mac) }))
  }
}

interface WholePages<T extends TableName> {
  readonly first: ReadStatement<T>
  readonly next: ReadStatement<T>
}

function selectPage(db: Connection['db'], table: TableName, condition: SQL | undefined) {
  const from: SQLiteTable = rowTables[table]
  const order = keyColumnsIn(rowTables, table).map(([, column]) => asc(column))
  return db
    .select()
    .from(from)
    .where(condition)
    .orderBy(...order)
}

function prepareWholePages<T extends TableName>(connection: Connection, table: T): WholePages<T> {
  const { db } = connection
  const after = isInPage(keyColumnsIn(rowTables, table), { after: keyParameters(table) })
  const limit = sql.placeholder('limit')
  return {
    first: prepareRead(connection, table, selectPage(db, table, undefined).limit(limit)),
    next: prepareRead(connection, table, selectPage(db, table, after).limit(limit)),
  }
}

function prepareByKey<T extends TableName>(connection: Connection, table: T): ReadStatement<T> {
  const from: SQLiteTable = rowTables[table]
  const isIt = isRow(keyColumnsIn(rowTables, table), keyParameters(table))
  return prepareRead(connection, table, connection.db.select().from(from).where(isIt))
}
