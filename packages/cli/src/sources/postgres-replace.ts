/** Replaces rows of a PostgreSQL table, and puts back what was replaced, inside a transaction of the caller's. */

import type { ClientBase } from 'pg'

import { checkOriginals } from './cells.ts'
import { isConstraint } from './postgres-connection.ts'
import { forgetOriginals, originalsAfter } from './postgres-journal.ts'
import { currentSql, decodeKey, replaceSql, rowId, unchangedSql } from './postgres-rows.ts'
import type { PostgresColumn, PostgresShape } from './postgres-schema.ts'
import type { Cell, PutBack } from './row-source.ts'

/** What a row is to hold, and what it must hold for it; cells as they are read. */
export interface RowChange {
  readonly key: readonly string[]
  readonly old: readonly Cell[]
  readonly next: readonly Cell[]
}

/**
 * - `changed`: it held something else by then
 * - `constraint`: the table refuses the value
 * - `not_replaced`: a trigger keeps it, or puts something else in its place
 */
export type Outcome = 'replaced' | 'changed' | 'constraint' | 'not_replaced'

/** All of them in one statement; one by one where one of them breaks a constraint. */
export async function replaceRows(
  client: ClientBase,
  shape: PostgresShape,
  own: readonly PostgresColumn[],
  changes: readonly RowChange[],
  compares = true,
): Promise<Outcome[]> {
  if (changes.length === 0) return []
  const together = (some: readonly RowChange[]): Promise<Outcome[]> =>
    savepoint(client, () => replaceTogether(client, shape, own, some, compares))
  try {
    return await together(changes)
  } catch (error) {
    if (!isConstraint(error) && !(error instanceof NotKeptError)) throw error
  }
  const outcomes: Outcome[] = []
  for (const change of changes) {
    try {
      outcomes.push(...(await together([change])))
    } catch (error) {
      if (!isConstraint(error) && !(error instanceof NotKeptError)) throw error
      outcomes.push(error instanceof NotKeptError ? 'not_replaced' : 'constraint')
    }
  }
  return outcomes
}

async function replaceTogether(
  client: ClientBase,
  shape: PostgresShape,
  own: readonly PostgresColumn[],
  changes: readonly RowChange[],
  compares: boolean,
): Promise<Outcome[]> {
  const lists = [
    ...own.map((_, index) => changes.map(({ next }) => asParameter(next[index]))),
    ...shape.key.map((_, part) => changes.map(({ key }) => key[part] ?? null)),
    ...own.map((_, index) => changes.map(({ old }) => asParameter(old[index]))),
  ]
  const { rows: replaced } = await client.query<{ place: string; kept: boolean }>(
    replaceSql(shape, own, compares),
    lists,
  )
  if (replaced.some(({ kept }) => !kept)) throw new NotKeptError()
  const outcomes: Outcome[] = changes.map(() => 'changed')
  for (const { place } of replaced) outcomes[Number(place) - 1] = 'replaced'
  if (replaced.length === changes.length) return outcomes
  // Nobody changed it, and still it was not replaced: a trigger ignores the change. Another pass would meet it again.
  const { rows: unchanged } = await client.query<{ place: string }>(unchangedSql(shape, own), lists)
  for (const { place } of unchanged) outcomes[Number(place) - 1] = 'not_replaced'
  return outcomes
}

export interface PutBackStep {
  readonly runId: string
  /** Of a cell as it is read. */
  readonly isOurs: (cell: Cell) => boolean
  readonly after: string | undefined
  readonly shape: PostgresShape
  readonly own: readonly PostgresColumn[]
}

export async function putBack(
  client: ClientBase,
  { runId, isOurs, after, shape, own }: PutBackStep,
): Promise<PutBack | undefined> {
  const originals = (await originalsAfter(client, runId, after)).map((original) => {
    return { ...original, key: decodeKey(original.place) }
  })
  const last = originals.at(-1)
  if (last === undefined) return undefined
  checkOriginals(originals, own.length)
  const keys = shape.key.map((_, part) => originals.map(({ key }) => key[part] ?? null))
  const { rows } = await client.query<Record<string, string | Uint8Array | null>>(
    currentSql(shape, own),
    keys,
  )
  const current = new Map(rows.map((row) => [Number(row['place']) - 1, row]))
  const changes: RowChange[] = []
  const gone: string[] = []
  originals.forEach(({ key, cells, place }, at) => {
    const row = current.get(at)
    const old = own.map((_, index) => row?.[`c${index}`] ?? null)
    if (row !== undefined && isOurs(old[0] ?? null)) changes.push({ key, old, next: cells })
    else gone.push(place)
  })
  const outcomes = await replaceRows(client, shape, own, changes)
  const isDone = (at: number): boolean => outcomes[at] === 'replaced' || outcomes[at] === 'changed'
  const done = changes.filter((_, at) => isDone(at)).map(({ key }) => JSON.stringify(key))
  await forgetOriginals(client, runId, [...done, ...gone])
  return {
    restored: outcomes.filter((one) => one === 'replaced').length,
    changed: gone.length + outcomes.filter((one) => one === 'changed').length,
    kept: changes.filter((_, at) => !isDone(at)).map(({ key }) => rowId({ key })),
    after: last.place,
  }
}

function asParameter(cell: Cell | undefined): string | Buffer | null {
  if (cell instanceof Uint8Array) return Buffer.from(cell)
  return cell === undefined || cell === null ? null : String(cell)
}

/** A trigger put something else in the column's place: the record would be lost. */
class NotKeptError extends Error {}

async function savepoint<T>(client: ClientBase, step: () => Promise<T>): Promise<T> {
  await client.query('SAVEPOINT longhold')
  try {
    const result = await step()
    await client.query('RELEASE SAVEPOINT longhold')
    return result
  } catch (error) {
    await client.query('ROLLBACK TO SAVEPOINT longhold')
    throw error
  }
}
