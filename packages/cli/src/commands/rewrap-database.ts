import { fromText, inspect, keyIdOf, LongholdError, rewrapStopsWriting, toHex } from '@longhold/core'

import { fromCore, refused, stopped } from '../shell/errors.ts'
import { Progress } from '../shell/progress.ts'
import { recipientChange } from '../shell/rewrapper.ts'
import type { Rewrapped, Rewrapper, RewrapItem } from '../shell/rewrapper.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { DataKeyRow, DataKeyTable, DataKeyTableOptions, Replacement } from '../sources/data-key-table.ts'
import { withProblems } from './problems.ts'

const batchRows = 100
const maxPasses = 5
const maxShownFailures = 10

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
export async function rewrapDatabase(
  terminal: Terminal,
  options: DataKeyTableOptions,
  rewrapper: Rewrapper,
): Promise<void> {
  // Loads the driver, which no other form of this command needs.
  const { DataKeyTable: Table } = await import('../sources/data-key-table.ts')
  await withProblems(async () => {
    using keys = new Table(options)
    await report(terminal, options.shown, await allPasses(terminal, keys, rewrapper, options.shown))
  })
}

/** Passes over all rows until one meets none that changed while it was rewrapped. */
async function allPasses(
  terminal: Terminal,
  keys: DataKeyTable,
  rewrapper: Rewrapper,
  shown: string,
): Promise<Outcome> {
  let rewrapped = 0
  for (let pass = 1; ; pass++) {
    const outcome = await onePass(terminal, keys, rewrapper, rewrapped)
    rewrapped += outcome.rewrapped
    // A pass that follows conflicts meets the rows of the one before again, as unchanged.
    const unchanged = outcome.unchanged - (rewrapped - outcome.rewrapped)
    if (outcome.conflicts === 0) return { ...outcome, rewrapped, unchanged }
    if (pass === maxPasses) {
      throw stopped(
        `${plural(outcome.conflicts, 'wrapped key')} of ${shown} changed while they were rewrapped`,
        {
          hint: 'another rewrap seems to run: run this again once it has finished',
        },
      )
    }
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
    for (let rows = keys.page(batchRows); rows.length > 0; rows = keys.page(batchRows, rows.at(-1))) {
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
  rows: readonly DataKeyRow[],
  rewrapper: Rewrapper,
  outcome: Outcome,
): Promise<void> {
  const due: { row: DataKeyRow; item: RewrapItem }[] = []
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
  const replacements: Replacement[] = []
  due.forEach(({ row, item }, index) => {
    const result = checked(item, results[index], rewrapper)
    if ('error' in result) outcome.failures.push(failureOf(row, result.error))
    else replacements.push(replacementOf(row, item, result.wrappedKey, rewrapper))
  })
  const replaced = keys.replace(replacements)
  outcome.rewrapped += replaced
  outcome.conflicts += replacements.length - replaced
}

/** As the library does it: who loses access must not get at what comes, so that new records get new data keys. */
function replacementOf(
  row: DataKeyRow,
  { wrappedKey: before }: RewrapItem,
  wrappedKey: Uint8Array,
  { recipientIds }: Rewrapper,
): Replacement {
  const had = inspect(before).stanzas.map(({ recipientId }) => recipientId)
  return { row, wrappedKey, stopWriting: rewrapStopsWriting(row.name ?? '', had, recipientIds) }
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

function failureOf(row: DataKeyRow, error: LongholdError): Failure {
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
