/** Rows of the table `longhold_data_keys` (SPEC §12) as the library knows them, and what is the same in all databases. */

import { copyBytes } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import { fromText } from '../format/text.ts'
import { keyContextJson } from '../keys/wrapped-key-store.ts'
import type { DataKeyState, DestroyedDataKey, NewDataKey, StoredDataKey } from '../keys/wrapped-key-store.ts'

/** A row as the drivers give it, and as they take it. */
export interface DataKeyRow<Time> {
  keyId: Uint8Array
  /** The text form in a column of type TEXT. */
  wrappedKey: Uint8Array | string
  keyContext: string
  name: string | null
  state: string
  messages: number
  bytes: number
  createdAt: Time
  updatedAt: Time
  /** Of another table; not asked for by every statement. */
  tag?: Uint8Array | null
}

export interface DestroyedRow<Time> {
  keyId: Uint8Array
  destroyedAt: Time
}

/** @throws LongholdError `malformed` for a row that neither library nor command line wrote. */
export function dataKeyOf(row: DataKeyRow<Date | string>): StoredDataKey {
  const { wrappedKey, state, messages, bytes, tag } = row
  if (!isState(state)) throw malformedRow('state')
  return {
    keyId: copyBytes(row.keyId),
    name: row.name ?? '',
    keyContext: contextOf(row.keyContext),
    wrappedKey: typeof wrappedKey === 'string' ? fromText(wrappedKey) : copyBytes(wrappedKey),
    state,
    messages,
    bytes,
    createdAt: timeOf(row.createdAt),
    updatedAt: timeOf(row.updatedAt),
    ...(tag && { tag: copyBytes(tag) }),
  }
}

export function destroyedOf({ keyId, destroyedAt }: DestroyedRow<Date | string>): DestroyedDataKey {
  return { keyId: copyBytes(keyId), state: 'destroyed', destroyedAt: timeOf(destroyedAt) }
}

/** A new row, but for its times, which the databases write differently. */
export function newRow({ keyId, wrappedKey, keyContext, name, messages, bytes }: NewDataKey): Omit<
  DataKeyRow<never>,
  'createdAt' | 'updatedAt' | 'wrappedKey' | 'tag'
> & {
  wrappedKey: Uint8Array
} {
  return {
    keyId,
    wrappedKey,
    keyContext: keyContextJson(keyContext),
    name,
    state: 'writing',
    messages,
    bytes,
  }
}

/**
 * @param method What databases of the dialect have, and others do not.
 * @throws LongholdError `bad_input` for what is no Drizzle database of the dialect, or a transaction in one: whoever rolled
 * it back would take away data keys that records are being written under.
 */
export function checkDatabase(db: unknown, method: 'run' | 'execute', where: string): void {
  const given = (typeof db === 'object' && db !== null ? db : {}) as Partial<Record<string, unknown>> // asked for its methods
  if (typeof given['select'] !== 'function' || typeof given[method] !== 'function')
    throw badInput(`${where}: db is no Drizzle database of that kind`, 'drizzle({ client }) makes one')
  if (typeof given['rollback'] === 'function')
    throw badInput(`${where}: db is a transaction`, 'open the store on the database itself')
}

/**
 * Runs one operation. What driver and query builder throw becomes `unavailable` with the database's own code: their
 * texts hold parameters.
 */
export async function translated<T>(operation: () => T | Promise<T>): Promise<T> {
  try {
    return await operation()
  } catch (error) {
    if (error instanceof LongholdError) throw error
    const code = databaseCode(error) ?? (error instanceof Error ? error.name : 'unknown')
    throw new LongholdError('unavailable', `the database of the wrapped keys cannot be used (${code})`, {
      hint: 'see to the database, then try again',
    })
  }
}

/** Through the query builder's error to the driver's: `SQLITE_BUSY`, `23505`, `ECONNREFUSED`. */
export function databaseCode(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return undefined
}

function isState(text: string): text is DataKeyState {
  return text === 'writing' || text === 'reading' || text === 'retired'
}

function contextOf(text: string): StoredDataKey['keyContext'] {
  let context: unknown
  try {
    context = JSON.parse(text)
  } catch {
    throw malformedRow('key_context')
  }
  // canonicalize refuses what is no object of strings.
  return canonicalize(context as Readonly<Record<string, string>>).pairs
}

function timeOf(time: Date | string): Date {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) throw malformedRow('created_at or updated_at')
  return date
}

function malformedRow(column: string): LongholdError {
  return new LongholdError(
    'malformed',
    `longhold_data_keys: ${column} holds what longhold does not write there`,
  )
}
