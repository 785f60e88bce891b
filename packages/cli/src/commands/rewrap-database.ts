import { fromText, inspect, keyIdOf, LongholdError, toHex, toText } from '@longhold/core'
import type { Database } from 'better-sqlite3'

import { fromCore, refused, stopped, usage } from '../shell/errors.ts'
import { Progress } from '../shell/progress.ts'
import { recipientChange } from '../shell/rewrapper.ts'
import type { Rewrapped, Rewrapper, RewrapItem } from '../shell/rewrapper.ts'
import { openSqlite, sqliteError } from '../shell/sqlite.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'

const batchRows = 100
const maxPasses = 5
const maxShownFailures = 10
const selectRows = 'select key_id, wrapped_key, key_context from longhold_data_keys'

/** A row as SQLite gives it: BLOB columns as bytes, TEXT columns in text form (SPEC §12). */
interface Row {
  readonly key_id: Uint8Array | string
  readonly wrapped_key: Uint8Array | string
  readonly key_context: string
}

interface Failure {
  readonly key_id: string
  readonly code: string
  readonly message: string
}

interface Outcome {
  rewrapped: number
  unchanged: number
  /** Rows that somebody else changed between our reading and our writing. */
  conflicts: number
  failures: Failure[]
}

/** Rewraps every row of `longhold_data_keys`; reads and writes no other table. */
export async function rewrapDatabase(terminal: Terminal, path: string, rewrapper: Rewrapper): Promise<void> {
  const database = await openSqlite(terminal, path)
  try {
    const keys = new DataKeyTable(database, path)
    let rewrapped = 0
    let outcome: Outcome
    for (let pass = 1; ; pass++) {
      outcome = await onePass(terminal, keys, rewrapper, rewrapped)
      rewrapped += outcome.rewrapped
      if (outcome.conflicts === 0) break
      if (pass === maxPasses) {
        throw stopped(
          `${plural(outcome.conflicts, 'wrapped key')} of ${path} changed while they were rewrapped`,
          {
            hint: 'another rewrap seems to run: run this again once it has finished',
          },
        )
      }
    }
    // A pass that follows conflicts meets the rows of the one before again, as unchanged.
    await report(terminal, path, {
      ...outcome,
      rewrapped,
      unchanged: keys.count() - rewrapped - outcome.failures.length,
    })
  } catch (error) {
    throw sqliteError(error, path)
  } finally {
    database.close()
  }
}

async function onePass(
  terminal: Terminal,
  keys: DataKeyTable,
  rewrapper: Rewrapper,
  before: number,
): Promise<Outcome> {
  const outcome: Outcome = { rewrapped: 0, unchanged: 0, conflicts: 0, failures: [] }
  const progress = new Progress(terminal)
  const total = keys.count()
  try {
    for (let rows = keys.first(); rows.length > 0; rows = keys.after(rows)) {
      terminal.checkStop()
      await oneBatch(keys, rows, rewrapper, outcome)
      progress.update(`${count(before + outcome.rewrapped)} of ${plural(total, 'wrapped key')} rewrapped`)
    }
  } finally {
    progress.done()
  }
  return outcome
}

async function oneBatch(
  keys: DataKeyTable,
  rows: readonly Row[],
  rewrapper: Rewrapper,
  outcome: Outcome,
): Promise<void> {
  const due: { row: Row; item: RewrapItem }[] = []
  for (const row of rows) {
    try {
      const item = { wrappedKey: bytesOf(row.wrapped_key), keyContext: contextOf(row.key_context) }
      if (recipientChange(item.wrappedKey, rewrapper).none) outcome.unchanged++
      else due.push({ row, item })
    } catch (error) {
      if (!(error instanceof LongholdError)) throw error
      outcome.failures.push(failureOf(row, error))
    }
  }
  const results = await rewrapper.rewrap(due.map(({ item }) => item))
  const replacements: { row: Row; wrappedKey: Uint8Array }[] = []
  due.forEach(({ row, item }, index) => {
    const result = checked(item, results[index], rewrapper)
    if ('error' in result) outcome.failures.push(failureOf(row, result.error))
    else replacements.push({ row, wrappedKey: result.wrappedKey })
  })
  const replaced = keys.replace(replacements)
  outcome.rewrapped += replaced
  outcome.conflicts += replacements.length - replaced
}

/** Looks at what came back before it takes the place of a key that works. */
function checked(item: RewrapItem, result: Rewrapped | undefined, { recipientIds }: Rewrapper): Rewrapped {
  if (result === undefined) throw new Error('fewer results than wrapped keys')
  if ('error' in result) {
    // Another time it may go well, and what is done until then stays done.
    if (result.error.code === 'unavailable') throw result.error
    return result
  }
  const sameKey = toHex(keyIdOf(result.wrappedKey)) === toHex(keyIdOf(item.wrappedKey))
  // Ids are not compared: the key may have been rotated since its public key was read.
  if (sameKey && inspect(result.wrappedKey).stanzas.length === recipientIds.size) return result
  return {
    error: new LongholdError('malformed', 'the key service answered with something else than was asked'),
  }
}

async function report(
  terminal: Terminal,
  path: string,
  { rewrapped, unchanged, failures }: Outcome,
): Promise<void> {
  await terminal.answer({
    text: table([
      ['rewrapped', count(rewrapped)],
      ['unchanged', count(unchanged)],
      ['failed', count(failures.length)],
    ]),
    json: { database: path, rewrapped, unchanged, failed: failures },
  })
  if (failures.length === 0) return
  for (const { key_id, message } of failures.slice(0, maxShownFailures))
    terminal.warn(`data key ${key_id}: ${message}`)
  throw refused(
    `${plural(failures.length, 'wrapped key')} of ${path} could not be rewrapped; they are as they were`,
    {
      hint: failures.length > maxShownFailures ? '--json lists all of them' : 'the others are done',
    },
  )
}

function failureOf(row: Row, error: LongholdError): Failure {
  const { code, message } = fromCore(error)
  const keyId = row.key_id
  return { key_id: typeof keyId === 'string' ? keyId : toHex(Uint8Array.from(keyId)), code, message }
}

function bytesOf(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? fromText(value) : Uint8Array.from(value)
}

function contextOf(text: string): Record<string, string> {
  let context: unknown
  try {
    context = JSON.parse(text)
  } catch {
    context = undefined
  }
  const isObject = typeof context === 'object' && context !== null && !Array.isArray(context)
  const pairs = isObject ? Object.entries(context ?? {}) : []
  if (isObject && pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string')) {
    return Object.fromEntries(pairs)
  }
  throw new LongholdError('bad_context', 'the column key_context does not hold a JSON object of strings')
}

/** The table of wrapped keys that library and command line share (SPEC §12). */
class DataKeyTable {
  readonly #database: Database

  constructor(database: Database, path: string) {
    const found = database.prepare(
      "select 1 from sqlite_schema where type = 'table' and name = 'longhold_data_keys'",
    )
    if (found.get() === undefined) {
      throw usage(`${path} has no table longhold_data_keys`, {
        hint: 'longhold reencrypt makes it; for files, give them without --sqlite',
      })
    }
    try {
      database.prepare('select key_id, wrapped_key, key_context, updated_at from longhold_data_keys')
    } catch (error) {
      throw usage(`${path}: the table longhold_data_keys is not the one that longhold makes`, {
        cause: error,
      })
    }
    this.#database = database
  }

  count(): number {
    const row = this.#database
      .prepare<[], { rows: number }>('select count(*) as rows from longhold_data_keys')
      .get()
    return row?.rows ?? 0
  }

  first(): Row[] {
    return this.#database.prepare<[number], Row>(`${selectRows} order by key_id limit ?`).all(batchRows)
  }

  after(rows: readonly Row[]): Row[] {
    const last = rows.at(-1)?.key_id
    return this.#database
      .prepare<[unknown, number], Row>(`${selectRows} where key_id > ? order by key_id limit ?`)
      .all(last, batchRows)
  }

  /** Replaces each wrapped key that is still the one that was read. @returns how many were. */
  replace(replacements: readonly { readonly row: Row; readonly wrappedKey: Uint8Array }[]): number {
    if (replacements.length === 0) return 0
    const update = this.#database.prepare(
      'update longhold_data_keys set wrapped_key = ?, updated_at = ? where key_id = ? and wrapped_key = ?',
    )
    const now = new Date().toISOString()
    const all = this.#database.transaction(() => {
      let changes = 0
      for (const { row, wrappedKey } of replacements) {
        const value = typeof row.wrapped_key === 'string' ? toText(wrappedKey) : Buffer.from(wrappedKey)
        changes += update.run(value, now, row.key_id, row.wrapped_key).changes
      }
      return changes
    })
    return all.immediate()
  }
}
