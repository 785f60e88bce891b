/** The journal of runs over whole objects: the tables of every run, and one row for each object that was replaced. */

import Database from 'better-sqlite3'

import { Journal } from './journal.ts'
import type { CommittedObjects, DecidedObjects } from './object-source.ts'
import { fileProblem, Problem } from './problem.ts'
import { addCounts } from './run-state.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { sqliteCode } from './sqlite-errors.ts'

const schema = `
CREATE TABLE IF NOT EXISTS longhold_run_objects (
  run_id TEXT NOT NULL REFERENCES longhold_run (run_id),
  name TEXT NOT NULL,
  key_id TEXT NOT NULL,
  version TEXT NOT NULL,
  staged TEXT NOT NULL,
  is_done INTEGER NOT NULL,
  bytes_before INTEGER NOT NULL,
  bytes_after INTEGER NOT NULL,
  PRIMARY KEY (run_id, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS longhold_run_objects_key ON longhold_run_objects (run_id, key_id)`

/** The same for all objects of a target: a journal is of one target. */
const table = 'objects'
const column = 'content'
export const objectsAs = { table, column } as const

/** An object that is replaced, or about to be. */
export interface ObjectRow {
  readonly name: string
  readonly keyId: string
  /** What it was when it was read. */
  readonly version: string
  /** Where its envelope waits before it takes the place. */
  readonly staged: string
  readonly bytesBefore: number
  readonly bytesAfter: number
}

interface StoredRow {
  readonly name: string
  readonly key_id: string
  readonly version: string
  readonly staged: string
  readonly bytes_before: number
  readonly bytes_after: number
}

export class ObjectJournal {
  readonly #database: Database.Database
  readonly #journal: Journal

  /** @throws Problem when the file cannot be made or is of something else. */
  constructor(path: string) {
    let database: Database.Database | undefined
    try {
      database = new Database(path, { timeout: 5000 })
      // Each step is on the disk before the next one changes an object.
      database.pragma('synchronous = FULL')
      this.#journal = new Journal(database)
      database.exec(schema)
      this.#database = database
    } catch (error) {
      database?.close()
      throw journalProblem(error, path)
    }
  }

  runs(): readonly RunState[] {
    return this.#journal.runs(table, column)
  }

  deadLetters(runId: string): Iterable<DeadLetter> {
    return this.#journal.deadLetters(runId)
  }

  save(state: RunState): void {
    this.#step(() => {
      // A pass judges every object anew.
      if (state.position === undefined && state.counts.found === 0) this.#journal.clearDead(state.runId)
      this.#journal.save(state)
    })
  }

  isOurs(runId: string, keyId: string): boolean {
    return (
      this.#database
        .prepare('SELECT 1 FROM longhold_run_objects WHERE run_id = ? AND key_id = ? AND is_done = 1')
        .get(runId, keyId) !== undefined
    )
  }

  /** What is about to happen. @returns The rows that stood there of the same objects: replaced twice in one run. */
  prepare(runId: string, rows: readonly ObjectRow[]): ObjectRow[] {
    const before: ObjectRow[] = []
    this.#step(() => {
      for (const row of rows) {
        const earlier = this.#database
          .prepare<[string, string], StoredRow>(
            'SELECT * FROM longhold_run_objects WHERE run_id = ? AND name = ?',
          )
          .get(runId, row.name)
        if (earlier !== undefined) before.push(fromStored(earlier))
        this.#database
          .prepare('INSERT OR REPLACE INTO longhold_run_objects VALUES (?, ?, ?, ?, ?, 0, ?, ?)')
          .run(runId, row.name, row.keyId, row.version, row.staged, row.bytesBefore, row.bytesAfter)
      }
    })
    return before
  }

  /** What was prepared and whose fate nobody wrote down. */
  unsettled(runId: string): ObjectRow[] {
    return this.#rows('run_id = ? AND is_done = 0 ORDER BY name', runId)
  }

  /** @param isDone False: it did not happen. */
  settle(runId: string, names: Iterable<string>, isDone: boolean): void {
    const settle = this.#database.prepare(
      isDone
        ? 'UPDATE longhold_run_objects SET is_done = 1 WHERE run_id = ? AND name = ?'
        : 'DELETE FROM longhold_run_objects WHERE run_id = ? AND name = ?',
    )
    this.#step(() => {
      for (const name of names) settle.run(runId, name)
    })
  }

  /** Everything that a commit changes, in one step. */
  commit(state: RunState, decided: DecidedObjects, done: CommittedObjects & Settled): RunState {
    const next = afterObjects(state, decided, done)
    const { runId } = state
    this.#step(() => {
      this.settle(runId, done.done, true)
      this.settle(runId, done.undone, false)
      for (const fate of decided.fates) if (fate.fate === 'dead') this.#journal.addDead(runId, fate.letter)
      for (const letter of done.dead) this.#journal.addDead(runId, letter)
      this.#journal.save(next)
    })
    return next
  }

  /** Objects that were replaced, in the order of their names. */
  done(runId: string, after: string, maxRows: number): ObjectRow[] {
    return this.#rows(`run_id = ? AND is_done = 1 AND name > ? ORDER BY name LIMIT ${maxRows}`, runId, after)
  }

  forget(runId: string, names: readonly string[]): void {
    this.settle(runId, names, false)
  }

  forgetRun(state: RunState): void {
    this.#step(() => {
      this.#database.prepare('DELETE FROM longhold_run_objects WHERE run_id = ?').run(state.runId)
      this.#journal.save(state)
    })
  }

  close(): void {
    this.#database.close()
  }

  #rows(where: string, ...values: readonly string[]): ObjectRow[] {
    return this.#database
      .prepare<string[], StoredRow>(`SELECT * FROM longhold_run_objects WHERE ${where}`)
      .all(...values)
      .map(fromStored)
  }

  #step(step: () => void): void {
    try {
      this.#database.transaction(step)()
    } catch (error) {
      throw journalProblem(error, this.#database.name)
    }
  }
}

/** By name: what happened, and what did not. */
export interface Settled {
  readonly done: readonly string[]
  readonly undone: readonly string[]
}

function afterObjects(state: RunState, { page, fates }: DecidedObjects, done: CommittedObjects): RunState {
  const many = (fate: string): number => fates.filter((one) => one.fate === fate).length
  return {
    ...state,
    position: page.position,
    counts: addCounts(state.counts, {
      found: fates.length - many('other'),
      already: many('already'),
      earlier: many('earlier'),
      dead: many('dead') + done.dead.length,
      migrated: done.migrated,
      conflict: many('conflict') + done.conflict,
      empty: many('other') + page.skipped,
    }),
    migrated: state.migrated + done.migrated,
    conflicts: state.conflicts + many('conflict') + done.conflict,
    unauthenticated: state.unauthenticated + done.unauthenticated,
    bytesBefore: state.bytesBefore + done.bytesBefore,
    bytesAfter: state.bytesAfter + done.bytesAfter,
    updatedAt: new Date().toISOString(),
  }
}

function fromStored({ name, key_id, version, staged, bytes_before, bytes_after }: StoredRow): ObjectRow {
  return { name, keyId: key_id, version, staged, bytesBefore: bytes_before, bytesAfter: bytes_after }
}

function journalProblem(error: unknown, path: string): unknown {
  const code = sqliteCode(error)
  if (code === undefined) return fileProblem(error, path, 'write')
  if (code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR')) {
    return new Problem('stopped', `cannot write ${path}: ${code}`, {
      hint: 'free some space on its disk and run the same command again',
      cause: error,
    })
  }
  return new Problem('wrong', `cannot use ${path}: ${code}`, {
    hint: 'it is the journal of the runs on this target, and must be readable and writable for you',
    cause: error,
  })
}
