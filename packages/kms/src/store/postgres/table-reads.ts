/** Reads of any table, outside a transaction or in one. */

import { and, asc, eq, getTableColumns, gt, sql } from 'drizzle-orm'
import type { Column } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'

import type { AuditRow, HeadRow, Page, RowPage, RowReads } from '../../service/key-store.ts'
import type { KeyOf, Rows, Stored, TableName, VersionRow } from '../../service/rows.ts'
import { columnNamed } from '../sql/columns.ts'
import { isInPage, isRow, keyColumnsIn, keyParameters, plain, rowFrom } from '../sql/rows.ts'
import type { NamedColumn } from '../sql/rows.ts'
import { translated } from './connection.ts'
import type { Database } from './connection.ts'
import { auditEntries, clusterHead, rowTables, versions } from './schema.ts'

/** Worded once. It has no name: a pooler that gives each transaction another connection would not find it there. */
const unnamed = ''

interface Query {
  execute(values: Record<string, unknown>): Promise<object[]>
}

export class TableReads implements RowReads {
  readonly #db: Pick<Database, 'select'>
  readonly #byKey = new Map<TableName, Query>()
  #byRecipientId: Query | undefined

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
    const query =
      this.#byKey.get(table) ?? this.#prepare(table, keyColumnsIn(rowTables, table), keyParameters(table))
    this.#byKey.set(table, query)
    const [row] = await translated(async () => await query.execute({ ...key }))
    return row && rowFrom(table, row)
  }

  async versionByRecipientId(recipientId: Uint8Array): Promise<Stored<VersionRow> | undefined> {
    const name = 'recipientId'
    const column = columnNamed<Column>(getTableColumns(versions), name)
    const query = (this.#byRecipientId ??= this.#prepare('versions', [[name, column]], {
      [name]: sql.placeholder(name),
    }))
    const [row] = await translated(async () => await query.execute({ recipientId }))
    return row && rowFrom('versions', row)
  }

  #prepare(table: TableName, columns: readonly NamedColumn[], values: Record<string, unknown>): Query {
    const from: PgTable = rowTables[table]
    return this.#db.select().from(from).where(isRow(columns, values)).prepare(unnamed)
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
