/** Reads of any table, outside a transaction or in one. */

import { and, asc, eq, gt } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'

import type { AuditRow, HeadRow, Page, RowPage, RowReads } from '../../service/key-store.ts'
import type { KeyOf, Rows, Stored, TableName } from '../../service/rows.ts'
import { isInPage, isRow, keyColumnsIn, plain, rowFrom } from '../sql/rows.ts'
import { translated } from './connection.ts'
import type { Database } from './connection.ts'
import { auditEntries, clusterHead, rowTables } from './schema.ts'

export class TableReads implements RowReads {
  readonly #db: Pick<Database, 'select'>

  constructor(db: Pick<Database, 'select'>) {
    this.#db = db
  }

  async head(): Promise<HeadRow | undefined> {
    const { epoch, rowCount, maskedSum, mac } = clusterHead
    const [row] = await translated(async () =>
      this.#db.select({ epoch, rowCount, maskedSum, mac }).from(clusterHead),
    )
    return row && { ...row, maskedSum: plain(row.maskedSum), mac: plain(row.mac) }
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    const from: PgTable = rowTables[table]
    const isIt = isRow(keyColumnsIn(rowTables, table), { ...key })
    const [row] = await translated(async () => this.#db.select().from(from).where(isIt))
    return row && rowFrom(table, row)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    const from: PgTable = rowTables[table]
    const keyColumns = keyColumnsIn(rowTables, table)
    const rows = await translated(async () =>
      this.#db
        .select()
        .from(from)
        .where(isInPage(keyColumns, page))
        .orderBy(...keyColumns.map(([, column]) => asc(column)))
        .limit(page.limit),
    )
    return rows.map((row) => rowFrom(table, row))
  }
  async auditEntries(run: string, { after = 0, limit }: Page<number>): Promise<AuditRow[]> {
    const rows = await translated(async () =>
      this.#db
        .select()
        .from(auditEntries)
        .where(and(eq(auditEntries.run, run), gt(auditEntries.seq, after)))
        .orderBy(asc(auditEntries.seq))
        .limit(limit),
    )
    return rows.map((row) => ({ ...row, mac: plain(row.mac) }))
  }
}
