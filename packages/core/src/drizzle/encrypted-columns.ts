/**
 * Columns whose values are encrypted, for Drizzle on SQLite and PostgreSQL.
 *
 * A custom column type of Drizzle is synchronous and sees the value alone: neither the row, to which a record must be
 * bound, nor a moment to wait for a data key. Three ways were weighed.
 *
 * - Decrypting in the column type: works while the data key happens to be at hand, cannot know the row's id, and gives a
 *   value one time and something else another time, with one type for both.
 * - Wrapping the database object: sees rows, but has to follow every way Drizzle builds a query, now and later.
 * - An opaque value in between, which is this one. A select always returns `Encrypted<T>`; `await enc.open(rows)` loads the
 *   data keys, takes the row's id from the row, and gives plain rows. An insert takes what `await enc.row(table, values)`
 *   makes: a plain value is an error of types, and at run time one that names the column. So is comparing the column.
 *
 * What Drizzle does not pass through the column cannot be refused here: comparisons with NULL or with another column,
 * patterns (`like`), placeholders and raw SQL, which match nothing, as ciphertexts do.
 */

import { Column, Table, eq, getColumnTable, getTableColumns, inArray, is, sql } from 'drizzle-orm'
import type { InferInsertModel, SQL } from 'drizzle-orm'

import { concat } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { encodeValue } from '../format/value.ts'
import type { TypedValue, ValueType } from '../format/value.ts'
import { encryptAll, withIndexKey } from '../keys/keyring-handle.ts'
import type { DataKeyHandle } from '../keys/keyring-handle.ts'
import { BlindIndexKey } from '../keys/keyring-index.ts'
import { checkOptions } from '../options.ts'
import { blindIndexBuilder, encryptedBuilder, storedForm } from './builders.ts'
import type { BlindIndexBuilder, BlindIndexColumnOptions, Dialect, EncryptedBuilder } from './builders.ts'
import { descriptorOf, indexDescriptorOf } from './descriptor.ts'
import type { Descriptor, IndexDescriptor } from './descriptor.ts'
import { Encrypted } from './encrypted.ts'
import type { BlindIndexBytes } from './encrypted.ts'
import { resolved } from './key-source.ts'
import type { IndexKeySource, KeySource } from './key-source.ts'
import type { ColumnOptions } from './migrating.ts'
import { openRows } from './open-rows.ts'
import { rowIdText } from './row-id.ts'
import type { Opened, PlainChanges, PlainRow, PlaintextOf } from './row-types.ts'

/** The condition of a look-up before there is an index key. */
const noRow = (): SQL => sql`1 = 0`

/** What the columns of one table have in common. */
export interface EncryptedColumnsOptions<D extends Dialect> {
  /** The name records are bound to: the table's in the database, and the old one after it was renamed. */
  readonly table: string
  readonly dialect: D
  /** The properties of a row that name it, as in the table's definition. Default `id`. */
  readonly rowId?: string | readonly string[]
  /**
   * For blind indexes: a handle of `keyring.handle`, whose name and key context have an index key that is made with the
   * first row and not by a look-up, or a key that `keyring.indexKey` made.
   */
  readonly indexKey?: IndexKeySource
}

/**
 * Encrypted columns of one table.
 *
 * @param key The data keys of a name: `keyring.handle` gives them, and nothing is made before the first row is encrypted.
 * @throws LongholdError `bad_input`.
 */
export function encryptedColumns<D extends Dialect>(
  key: KeySource<DataKeyHandle>,
  options: EncryptedColumnsOptions<D>,
): EncryptedColumns<D> {
  checkOptions(options, ['table', 'dialect', 'rowId', 'indexKey'], 'encryptedColumns')
  const { table, dialect, rowId = 'id', indexKey } = options
  if (typeof table !== 'string' || table === '')
    throw badInput('encryptedColumns: table is the name of a table')
  if (dialect !== 'sqlite' && dialect !== 'postgresql')
    throw badInput('encryptedColumns: dialect is "sqlite" or "postgresql"')
  const rowIdKeys: readonly string[] =
    typeof rowId === 'string' ? [rowId] : Array.isArray(rowId) ? [...rowId] : []
  if (rowIdKeys.length === 0 || rowIdKeys.some((one) => typeof one !== 'string' || one === ''))
    throw badInput('encryptedColumns: rowId names no property')
  return new EncryptedColumns({ key, indexKey, table, dialect, rowIdKeys, family: {} })
}

interface Settings<D extends Dialect> {
  readonly key: KeySource<DataKeyHandle>
  readonly indexKey: IndexKeySource | undefined
  readonly table: string
  readonly dialect: D
  readonly rowIdKeys: readonly string[]
  /** The same for all that share columns. */
  readonly family: object
}

/** What a table has of ours, by property. */
interface Plan {
  readonly keys: ReadonlySet<string>
  readonly encrypted: ReadonlyMap<string, Descriptor>
  readonly indexes: ReadonlyMap<string, IndexDescriptor & { readonly source: string }>
  readonly uuids: ReadonlySet<string>
}

/**
 * The columns of one table, and what turns rows into what they hold; `encryptedColumns` makes it. What makes a column
 * throws LongholdError `bad_input` for a name that is none and for options there are not.
 */
export class EncryptedColumns<D extends Dialect> {
  readonly #settings: Settings<D>
  readonly #plans = new WeakMap<Table, Plan>()

  constructor(settings: Settings<D>) {
    this.#settings = settings
  }

  /**
   * Text (SPEC §9).
   *
   * @param name In the database; with the table's, what the records are bound to.
   * @throws LongholdError `bad_input`, as every method that makes a column.
   */
  text(name: string, options: ColumnOptions<string> = {}): EncryptedBuilder<D, string> {
    return this.#column(name, 'string', options)
  }

  /**
   * What JSON can hold (SPEC §9). As `text`.
   *
   * @throws LongholdError `bad_input`, as `text`; `bad_value` when a Map, NaN or bytes are written, which it would lose.
   */
  json<T = unknown>(name: string, options: ColumnOptions<T> = {}): EncryptedBuilder<D, T> {
    return this.#column(name, 'json', options)
  }

  /** Bytes as they are (SPEC §9). As `text`. */
  bytes(name: string, options: ColumnOptions<Uint8Array> = {}): EncryptedBuilder<D, Uint8Array> {
    return this.#column(name, 'bytes', options)
  }

  /** Whole numbers of any size (SPEC §9). As `text`. */
  bigint(name: string, options: ColumnOptions<bigint> = {}): EncryptedBuilder<D, bigint> {
    return this.#column(name, 'bigint', options)
  }

  /** Doubles, of 8 bytes whatever the value (SPEC §9). As `text`. */
  number(name: string, options: ColumnOptions<number> = {}): EncryptedBuilder<D, number> {
    return this.#column(name, 'number', options)
  }

  /** Truth values (SPEC §9). As `text`. */
  boolean(name: string, options: ColumnOptions<boolean> = {}): EncryptedBuilder<D, boolean> {
    return this.#column(name, 'boolean', options)
  }

  /** Times, to the millisecond (SPEC §9). As `text`. */
  date(name: string, options: ColumnOptions<Date> = {}): EncryptedBuilder<D, Date> {
    return this.#column(name, 'date', options)
  }

  /**
   * A column beside an encrypted one, by which equal values are found (SPEC §8). `enc.row` fills it.
   *
   * @throws LongholdError `bad_input` for bits outside 16 to 256, too.
   */
  blindIndex(name: string, options: BlindIndexColumnOptions): BlindIndexBuilder<D> {
    checkOptions(options, ['of', 'bits'], 'EncryptedColumns.blindIndex')
    const { of, bits = 64 } = options
    checkName(name)
    checkName(of)
    if (!Number.isInteger(bits) || bits < 16 || bits > 256)
      throw badInput('bits must be a whole number from 16 to 256')
    const { dialect, family } = this.#settings
    return blindIndexBuilder(dialect, name, { family, of, bits })
  }

  /**
   * The same columns under other keys: those of the tenant whose rows are at stake.
   *
   * @throws LongholdError `bad_input` for options there are not.
   */
  withKey(
    key: KeySource<DataKeyHandle>,
    options: { readonly indexKey?: IndexKeySource } = {},
  ): EncryptedColumns<D> {
    checkOptions(options, ['indexKey'], 'EncryptedColumns.withKey')
    return new EncryptedColumns({ ...this.#settings, key, indexKey: options.indexKey })
  }

  /**
   * A row for `insert(…).values`: encrypts values, bound to table, column and the row's id, and fills blind indexes. `null`
   * stays NULL. The id must be among the values; one that the database makes is not known yet.
   *
   * @throws LongholdError `bad_input` for a property that is no column, or an id that is missing; `bad_value` for a value
   * that is not of its column's type, which is not repeated; what `DataKeyHandle.ready` throws.
   */
  async row<TTable extends Table>(
    table: TTable,
    values: PlainRow<TTable>,
  ): Promise<InferInsertModel<TTable>> {
    // The mapped type has the table's own properties, with what its columns take.
    return (await this.#sealed(table, values)) as InferInsertModel<TTable>
  }

  /** As `row`, for `update(…).set`: what is given is changed, and the blind indexes of that. The id must be given. */
  async changes<TTable extends Table>(
    table: TTable,
    values: PlainChanges<TTable>,
  ): Promise<Partial<InferInsertModel<TTable>>> {
    return await this.#sealed(table, values)
  }

  /**
   * Rows as a select returned them, with plain values in place of encrypted ones. Each needs the properties that name it.
   * Rows of joined tables are opened one by one: `enc.open(rows.map(({ users }) => users))`.
   *
   * @throws LongholdError `cannot_open` when a value was moved to another row or altered, or is of another key; `bad_input`
   * when the id is missing; `bad_value` for a value of another type; `malformed` for one that is no record; what loading
   * data keys throws. No message has a value.
   */
  open<R extends object>(rows: readonly R[]): Promise<Opened<R>[]>
  open<R extends object>(row: R): Promise<Opened<R>>
  async open(rows: object | readonly object[]): Promise<unknown> {
    const { key, table, rowIdKeys, family } = this.#settings
    const handle = await resolved(key)
    const isList = Array.isArray(rows)
    const opened = await openRows(isList ? rows : [rows], { handle, table, rowIdKeys, family })
    return isList ? opened : opened[0]
  }

  /**
   * The condition that an encrypted column equals a value, by its blind index. With few bits it finds more rows than are
   * meant: compare again what `open` gives. As long as there is no index key, no row equals anything.
   *
   * @throws LongholdError `bad_input` when the column has no blind index; `bad_value`.
   */
  async eq<TColumn extends Column>(column: TColumn, value: PlaintextOf<TColumn>): Promise<SQL> {
    const index = this.#indexOf(column)
    const bytes = await this.#indexBytes(index, value)
    return bytes === undefined ? noRow() : eq(index.column, bytes)
  }

  /** As `eq`, for any of several values. */
  async inArray<TColumn extends Column>(
    column: TColumn,
    values: readonly PlaintextOf<TColumn>[],
  ): Promise<SQL> {
    const index = this.#indexOf(column)
    if (!Array.isArray(values)) throw badInput('the values to look for must be a list')
    const all = await Promise.all(values.map((value) => this.#indexBytes(index, value)))
    const bytes = all.filter((one) => one !== undefined)
    return bytes.length < all.length ? noRow() : inArray(index.column, bytes)
  }

  /**
   * The blind index of a value, ⌈bits / 8⌉ bytes, for conditions of other kinds.
   *
   * @throws LongholdError as `eq`; `no_data_key` as long as there is no index key.
   */
  async indexOf<TColumn extends Column>(
    column: TColumn,
    value: PlaintextOf<TColumn>,
  ): Promise<BlindIndexBytes> {
    const bytes = await this.#indexBytes(this.#indexOf(column), value)
    if (bytes !== undefined) return bytes
    throw new LongholdError('no_data_key', 'there is no index key yet: no row has a blind index')
  }

  #column<T>(name: string, type: ValueType, options: ColumnOptions<T>): EncryptedBuilder<D, T> {
    checkName(name)
    checkOptions(options, ['form', 'open', 'decode'], `column "${name}"`)
    if (options.form !== undefined && options.form !== 'bytes' && options.form !== 'text')
      throw badInput(`column "${name}": form is "bytes" or "text"`)
    const { open, decode } = options
    if (open !== undefined && typeof open !== 'function')
      throw badInput(`column "${name}": open must be a function`)
    if (decode !== undefined && decode !== 'by type' && typeof decode !== 'function')
      throw badInput(`column "${name}": decode must be a function`)
    const { dialect, family } = this.#settings
    // `decode` and `open` make values of this column's type, which is known here alone.
    const descriptor = { family, name, type, options: options as ColumnOptions<unknown> }
    return encryptedBuilder(dialect, descriptor)
  }

  async #sealed(table: Table, values: object): Promise<object> {
    if (!is(table, Table)) throw badInput('the first argument is the table of the row')
    if (typeof values !== 'object' || values === null) throw badInput('the values of a row must be an object')
    const plan = this.#planOf(table)
    for (const name of Object.keys(values)) {
      if (!plan.keys.has(name)) throw badInput(`the table has no column "${name}"`)
      if (plan.indexes.has(name)) throw badInput(`the blind index "${name}" is filled in, not given`)
    }
    const given = new Map<string, unknown>(Object.entries(values))
    const own = [...plan.encrypted].filter(
      ([name]) => given.get(name) !== undefined && given.get(name) !== null,
    )
    const id = rowIdText(
      this.#settings.rowIdKeys.map((key) => ({ key, value: given.get(key), isUuid: plan.uuids.has(key) })),
    )
    const encoded = own.map(([name, column]) => ({
      name,
      column,
      plaintext: encodedFor(column, given.get(name)),
      recordContext: { table: this.#settings.table, column: column.name, id },
    }))
    const indexes = await Promise.all(
      [...plan.indexes].map(async ([name, index]) => {
        const value = encoded.find((one) => one.name === index.source)
        if (value !== undefined) return [name, await this.#index(index, value.plaintext, true)] as const
        return [name, given.get(index.source) === null ? null : undefined] as const
      }),
    )
    const records = await encryptAll(await resolved(this.#settings.key), encoded)
    const sealed = encoded.map(({ name, column }, at) => {
      const record = records[at] ?? concat() // one for each
      return [name, new Encrypted({ column, stored: storedForm(record, column), isNew: true })] as const
    })
    return {
      ...values,
      ...Object.fromEntries(sealed),
      ...Object.fromEntries(indexes.filter(([, value]) => value !== undefined)),
    }
  }

  #planOf(table: Table): Plan {
    const known = this.#plans.get(table)
    if (known !== undefined) return known
    const columns: [string, Column][] = Object.entries(getTableColumns(table))
    const encrypted = new Map<string, Descriptor>()
    for (const [name, column] of columns) {
      const descriptor = descriptorOf(column)
      if (descriptor?.family === this.#settings.family) encrypted.set(name, descriptor)
    }
    const indexes = new Map<string, IndexDescriptor & { source: string }>()
    for (const [name, column] of columns) {
      const index = indexDescriptorOf(column)
      if (index?.family !== this.#settings.family) continue
      const source = [...encrypted].find(([, descriptor]) => descriptor.name === index.of)?.[0]
      if (source === undefined)
        throw badInput(`blind index "${name}": there is no encrypted column "${index.of}"`)
      indexes.set(name, { ...index, source })
    }
    const uuids = columns.filter(([, column]) => column.getSQLType() === 'uuid').map(([name]) => name)
    const plan = { keys: new Set(columns.map(([name]) => name)), encrypted, indexes, uuids: new Set(uuids) }
    this.#plans.set(table, plan)
    return plan
  }

  /** The index column that stands beside an encrypted one, in whatever alias of the table that is of. */
  #indexOf(column: Column): { column: Column; of: Descriptor; index: IndexDescriptor } {
    if (!is(column, Column)) throw badInput('what is looked up must be a column')
    const of = descriptorOf(column)
    if (of?.family !== this.#settings.family)
      throw badInput(`"${column.name}" is no encrypted column of these`)
    for (const other of Object.values<Column>(getTableColumns(getColumnTable(column)))) {
      const index = indexDescriptorOf(other)
      if (index?.family === of.family && index.of === of.name) return { column: other, of, index }
    }
    throw badInput(
      `the encrypted column "${of.name}" has no blind index`,
      'enc.blindIndex(name, { of }) beside it',
    )
  }

  async #indexBytes(
    { of, index }: { of: Descriptor; index: IndexDescriptor },
    value: unknown,
  ): Promise<BlindIndexBytes | undefined> {
    if (value === null || value === undefined)
      throw badInput(`"${of.name}" compared with nothing`, 'use isNull(column)')
    return await this.#index(index, encodedFor(of, value), false)
  }

  /** @param make Whether an index key is made when there is none; `undefined` otherwise. */
  async #index(
    { of, bits }: IndexDescriptor,
    value: Uint8Array,
    make: boolean,
  ): Promise<BlindIndexBytes | undefined> {
    const { indexKey, table } = this.#settings
    if (indexKey === undefined)
      throw badInput(
        'encryptedColumns: a blind index needs the option indexKey',
        '() => keyring.handle(name) will do',
      )
    const key = await resolved<BlindIndexKey | DataKeyHandle>(indexKey)
    const blindIndexOf = (one: BlindIndexKey): BlindIndexBytes =>
      one.blindIndex({ table, column: of, value, bits }) as BlindIndexBytes // made here, and so what the type says
    return key instanceof BlindIndexKey ? blindIndexOf(key) : await withIndexKey(key, make, blindIndexOf)
  }
}

function encodedFor({ name, type }: Descriptor, value: unknown): Uint8Array {
  try {
    return encodeValue({ type, value } as TypedValue) // encodeValue looks at the value itself
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    throw new LongholdError(error.code, error.message, { hint: `it was given for column "${name}"` })
  }
}

function checkName(name: unknown): void {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed())
    throw badInput('a column is given by its name in the database')
}
