/** A store in memory: what the contract means, in the fewest words. It forgets everything when the process ends. */

import { notEmpty, twice } from '../service/filling-errors.ts'
import type {
  AuditRow,
  Commit,
  Filling,
  HeadRow,
  KeyStore,
  Outcome,
  Page,
  RowPage,
  RowWrite,
  Snapshot,
} from '../service/key-store.ts'
import { keyColumnsOf, tableNames } from '../service/rows.ts'
import type { KeyOf, Rows, Stored, TableName, VersionRow } from '../service/rows.ts'

/** Rows by their id. */
type Table = Map<string, Stored<Record<string, unknown>>>

interface State {
  head: HeadRow | undefined
  readonly tables: ReadonlyMap<TableName, Table>
  readonly entries: AuditRow[]
}

export class MemoryStore implements KeyStore {
  readonly #state: State = {
    head: undefined,
    tables: new Map(tableNames.map((table) => [table, new Map()])),
    entries: [],
  }

  async head(): Promise<HeadRow | undefined> {
    return structuredClone(this.#state.head)
  }

  /** It is all in memory. */
  stamp(): undefined {
    return undefined
  }

  async row<T extends TableName>(table: T, key: KeyOf<T>): Promise<Stored<Rows[T]> | undefined> {
    return rowOf(this.#state, table, key)
  }

  async rows<T extends TableName>(table: T, page: RowPage<T>): Promise<Stored<Rows[T]>[]> {
    return rowsOf(this.#state, table, page)
  }

  async now(): Promise<number> {
    return Date.now()
  }

  async versionsByRecipientId(recipientIds: readonly Uint8Array[]): Promise<Stored<VersionRow>[]> {
    const wanted = new Set(recipientIds.map(hexOf))
    const versions = rowsOf(this.#state, 'versions', { limit: Number.POSITIVE_INFINITY })
    return versions.filter(({ recipientId }) => wanted.has(hexOf(recipientId)))
  }

  async auditRuns(): Promise<string[]> {
    return [...new Set(this.#state.entries.map(({ run }) => run))]
  }

  async auditEntries(run: string, { after, limit }: Page<number>): Promise<AuditRow[]> {
    return entriesOf(this.#state, run, { after, limit })
  }

  async commit(commit: Commit): Promise<Outcome> {
    const { writes, audit, head, expectedEpoch } = structuredClone(commit)
    const state = this.#state
    if ((state.head?.epoch ?? null) !== expectedEpoch) return 'head_moved'
    // Made on copies of the tables, which take their place when all of it was as expected.
    const tables = new Map([...state.tables].map(([table, rows]) => [table, new Map(rows)] as const))
    if (!writes.every((write) => applied(tables, write))) return 'conflict'
    const { head: row, expectedSeq: expected } = audit
    if (!applied(tables, { table: 'audit_heads', row, expected })) return 'chain_moved'
    for (const [table, rows] of tables) {
      state.tables.get(table)?.clear()
      for (const [id, one] of rows) state.tables.get(table)?.set(id, one)
    }
    state.entries.push(...audit.entries)
    state.head = head
    return 'done'
  }

  async forgetAuditEntries(run: string, page: { through: number; limit: number }): Promise<number> {
    const entries = entriesOf(this.#state, run, { limit: page.limit })
    const gone = new Set(entries.flatMap(({ seq }) => (seq <= page.through ? [seq] : [])))
    const kept = this.#state.entries.filter((entry) => entry.run !== run || !gone.has(entry.seq))
    this.#state.entries.splice(0, this.#state.entries.length, ...kept)
    return gone.size
  }

  async snapshot(): Promise<Snapshot> {
    const state = structuredClone(this.#state)
    return {
      head: async () => state.head,
      row: async (table, key) => rowOf(state, table, key),
      rows: async (table, page) => rowsOf(state, table, page),
      auditEntries: async (run, page) => entriesOf(state, run, page),
      close: async () => undefined,
    }
  }

  async fill(): Promise<Filling> {
    const { tables, entries } = this.#state
    const filled = [...tables].find(([, rows]) => rows.size > 0)?.[0] ?? (entries.length > 0 ? 'entries' : '')
    if (this.#state.head !== undefined || filled !== '') throw notEmpty(filled)
    const written = new Map(tableNames.map((table) => [table, new Map()]))
    const appended: AuditRow[] = []
    return {
      async rows(table, rows) {
        for (const row of structuredClone(rows)) {
          // `table` says of which kind the rows are.
          if (!applied(written, { table, row, expected: null } as RowWrite)) throw twice(table)
        }
      },
      entries: async (more) => void appended.push(...structuredClone(more)),
      finish: async (head) => {
        for (const [table, rows] of written) for (const [id, row] of rows) tables.get(table)?.set(id, row)
        entries.push(...appended)
        this.#state.head = structuredClone(head)
      },
      close: async () => undefined,
    }
  }

  async close(): Promise<void> {
    // Nothing is under way: every write above is done when it returns.
  }
}

function rowOf<T extends TableName>(state: State, table: T, key: KeyOf<T>): Stored<Rows[T]> | undefined {
  // The rows of a table are of its type: `commit` writes no others.
  return structuredClone(state.tables.get(table)?.get(idOf(table, key))) as Stored<Rows[T]> | undefined
}

function rowsOf<T extends TableName>(
  state: State,
  table: T,
  { within = {}, after, limit }: RowPage<T>,
): Stored<Rows[T]>[] {
  const columns = keyColumnsOf(table)
  const rows = [...(state.tables.get(table)?.values() ?? [])]
    .filter((row) => Object.entries(within).every(([column, value]) => compare(row[column], value) === 0))
    .filter((row) => after === undefined || compareRows(columns, row, after) > 0)
    .toSorted((a, b) => compareRows(columns, a, b))
    .slice(0, limit)
  return structuredClone(rows) as unknown as Stored<Rows[T]>[]
}

function entriesOf(state: State, run: string, { after = 0, limit }: Page<number>): AuditRow[] {
  const entries = state.entries.filter((entry) => entry.run === run && entry.seq > after)
  return structuredClone(entries.toSorted((a, b) => a.seq - b.seq).slice(0, limit))
}

/** Makes one write; false, and nothing, where the rows are not as it expects. */
function applied(tables: ReadonlyMap<TableName, Table>, write: RowWrite): boolean {
  const rows = tables.get(write.table)
  const isRemoval = 'removed' in write
  const id = idOf(write.table, isRemoval ? write.removed : write.row)
  if (rows === undefined || (rows.get(id)?.generation ?? null) !== write.expected) return false
  if (isRemoval) return rows.delete(id)
  rows.set(id, { ...write.row })
  return uniqueColumns
    .filter(({ table }) => table === write.table)
    .every(({ of }) => {
      const mine = of({ ...write.row })
      return mine === undefined || [...rows].every(([other, row]) => other === id || of(row) !== mine)
    })
}

/** What no two rows of a table have the same of, beside their keys. */
const uniqueColumns: readonly {
  readonly table: TableName
  readonly of: (row: Record<string, unknown>) => string | undefined
}[] = [
  { table: 'versions', of: ({ recipientId }) => hexOf(recipientId as Uint8Array) },
  // One primary for each key.
  { table: 'versions', of: ({ key, state }) => (state === 'primary' ? String(key) : undefined) },
  { table: 'audit_heads', of: ({ ordinal }) => String(ordinal) },
]

function idOf(table: TableName, key: object): string {
  const values = key as Readonly<Record<string, unknown>>
  return keyColumnsOf(table)
    .map((column) => textOf(values[column]))
    .join('/')
}

function compareRows(columns: readonly string[], a: object, b: object): number {
  const [left, right] = [a, b] as unknown as Readonly<Record<string, unknown>>[]
  for (const column of columns) {
    const order = compare(left?.[column], right?.[column])
    if (order !== 0) return order
  }
  return 0
}

/** Strings by UTF-16 unit, which is the order of bytes for the ASCII names there are. */
function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const [left, right] = [textOf(a), textOf(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

function textOf(value: unknown): string {
  return value instanceof Uint8Array ? hexOf(value) : String(value)
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
