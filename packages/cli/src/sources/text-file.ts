/**
 * A file of NDJSON or CSV. The result is a new file beside it, `FILE.longhold`, in which only the values
 * differ; the old one is only read and must not change meanwhile. Until it is complete the new file is called
 * `FILE.longhold.partial`; how much of it counts is in a journal in `.longhold/`.
 */

import {
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
} from 'node:fs'
import { fsyncSync, openSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs'

import Database from 'better-sqlite3'

import { DataKeyFile, syncDirectory } from './data-key-file.ts'
import { identityOf, isSameFile, looksUnchanged } from './file-identity.ts'
import type { FileIdentity } from './file-identity.ts'
import { Journal } from './journal.ts'
import { fileProblem, Problem } from './problem.ts'
import type { DecidedPage, Immediate, PutBack, RowReader, RowSource, StoredDataKey } from './row-source.ts'
import { afterPage } from './run-state.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { translate } from './sqlite-errors.ts'
import { lockName, makeStateDirectory, TargetLock } from './target-lock.ts'
import { decodePosition, encodePosition, namesOf, RecordsPage, TextFileReader } from './text-file-reader.ts'
import type { TextFileOptions } from './text-file-reader.ts'

/** To look at, the old file or the newest; nothing is written, no lock is taken. */
export function readTextFile(options: TextFileOptions, which: 'old' | 'newest'): Immediate<RowReader> {
  return new TextFileReader(options, which)
}

/** @throws Problem `stopped` when another run is at work on the file, `wrong` for what cannot be. */
export function openTextFile(options: TextFileOptions): Immediate<RowSource> {
  const { directory, base } = namesOf(options)
  const lock = TargetLock.take(directory, lockName(base), options.shown)
  try {
    return new TextFile(options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

class TextFile extends TextFileReader implements RowSource {
  readonly isStill = true
  readonly #lock: TargetLock
  readonly #database: Database.Database
  readonly #journal: Journal
  readonly #keys: DataKeyFile
  #identity: FileIdentity | undefined
  #output: number | undefined
  #written = 0

  constructor(options: TextFileOptions, lock: TargetLock) {
    super(options, 'old')
    this.#lock = lock
    makeStateDirectory(this.names.directory)
    this.#keys = new DataKeyFile(this.names.keys, `${options.shown}.keys.ndjson`)
    let database: Database.Database | undefined
    try {
      database = new Database(this.names.journal, { timeout: 10_000 })
      database.pragma('synchronous = FULL')
      this.#journal = new Journal(database)
      database.exec(
        'CREATE TABLE IF NOT EXISTS longhold_run_input (run_id TEXT PRIMARY KEY, identity TEXT NOT NULL)',
      )
    } catch (error) {
      database?.close()
      super.close()
      throw translate(error, this.names.journal)
    }
    this.#database = database
  }

  /** A finished file is not read again; what it needs is to be put in the old one's place. */
  finishedRun(): RunState | undefined {
    const latest = this.latestRun()
    if (latest?.status !== 'finished' || !existsSync(this.names.output)) return undefined
    const before = this.#storedIdentity(latest.runId)
    if (before === undefined || !looksUnchanged(this.fd, before)) {
      throw new Problem(
        'wrong',
        `${this.options.shown} changed after ${this.options.shown}.longhold was made from it`,
        {
          hint: 'move the new file and its .keys.ndjson away to begin anew',
        },
      )
    }
    return latest
  }

  begin(state: RunState): void {
    this.#refuseAnotherMember(state)
    this.#files(() => {
      this.#identity = identityOf(this.fd)
      const before = this.#storedIdentity(state.runId)
      if (before !== undefined && !isSameFile(before, this.#identity)) throw this.#changed()
      this.#written = decodePosition(state.position).written
      this.#output = this.#openOutput(state)
    })
    this.#transaction(() => {
      this.#journal.retireDataKeys(state.dataKeys, state.updatedAt)
      this.#journal.save(state)
      this.#database
        .prepare('INSERT OR IGNORE INTO longhold_run_input VALUES (?, ?)')
        .run(state.runId, JSON.stringify(this.#identity))
    })
    this.#publishKeys(state.dataKeys)
  }

  addDataKey(state: RunState, key: StoredDataKey): RunState {
    const next = { ...state, dataKeys: [...state.dataKeys, key.keyId] }
    this.#keys.merge([key], new Date().toISOString())
    this.#transaction(() => {
      this.#journal.addDataKey(key, new Date().toISOString())
      this.#journal.save(next)
    })
    return next
  }

  commit(state: RunState, pages: readonly DecidedPage[]): RunState {
    this.#files(() => {
      if (this.#identity === undefined || !looksUnchanged(this.fd, this.#identity)) throw this.#changed()
    })
    let next: RunState = { ...state, updatedAt: new Date().toISOString() }
    const dead: DeadLetter[] = []
    const counted: { keyId: string; messages: number; bytes: number }[] = []
    for (const decided of pages) {
      const { bytesBefore, bytesAfter } = this.#files(() => this.#writePage(decided))
      const migrated = decided.replacements.size
      next = afterPage(next, decided, { migrated, broken: 0, bytesBefore, bytesAfter })
      dead.push(...decided.dead)
      if (decided.keyId !== undefined && migrated > 0) {
        counted.push({ keyId: decided.keyId, messages: migrated, bytes: decided.plaintextBytes })
      }
    }
    // First the bytes, then the position that says they count.
    this.#files(() => fdatasyncSync(this.#outputFd()))
    next = { ...next, position: encodePosition({ ...decodePosition(next.position), written: this.#written }) }
    this.#transaction(() => {
      for (const letter of dead) this.#journal.addDead(next.runId, letter)
      for (const { keyId, messages, bytes } of counted) {
        this.#journal.countMessages(keyId, messages, bytes, next.updatedAt)
      }
      this.#journal.save(next)
    })
    return next
  }

  store(state: RunState): void {
    this.#transaction(() => {
      this.#journal.save(state)
    })
    if (state.status === 'finished') this.#publishKeys(state.dataKeys)
  }

  retireDataKeys(keyIds: readonly string[]): void {
    this.#transaction(() => this.#journal.retireDataKeys(keyIds, new Date().toISOString()))
    this.#publishKeys(keyIds)
  }

  /** The last look at the old file, then the new one gets its name. */
  finish(): void {
    this.#files(() => {
      if (this.#identity === undefined || !isSameFile(this.#identity, identityOf(this.fd)))
        throw this.#changed()
      fsyncSync(this.#outputFd())
      if (existsSync(this.names.partial)) renameSync(this.names.partial, this.names.output)
      syncDirectory(this.names.directory)
    })
  }

  /** The old file was never changed: what a run made beside it goes. Wrapped keys stay, as everywhere. */
  putBack({ counts, status }: RunState): PutBack | undefined {
    const { output, partial, directory } = this.names
    const made = [output, partial].filter((path) => existsSync(path))
    if (made.length === 0) return undefined
    this.#files(() => {
      for (const path of made) unlinkSync(path)
      syncDirectory(directory)
    })
    const restored = status === 'rolling_back' ? counts.migrated + counts.earlier : 0
    return { restored, changed: 0, kept: [], after: 'removed' }
  }

  /** The new file takes the old one's name in one step, and with it the old one's last. */
  finalize(state: RunState): void {
    const { input, output, directory } = this.names
    // A crash after the rename leaves the state to be written: then there is no new file any more.
    if (existsSync(output)) {
      this.#files(() => {
        renameSync(output, input)
        syncDirectory(directory)
      })
    }
    this.#transaction(() => this.#journal.save(state))
  }

  override close(): void {
    if (this.#output !== undefined) closeSync(this.#output)
    this.#output = undefined
    this.#database.close()
    super.close()
    this.#lock.release()
  }

  /** A file has one new file: two runs on two members would write into it by turns. */
  #refuseAnotherMember({ runId }: RunState): void {
    const column = this.#database
      .prepare<[string], string>(
        "SELECT column_name FROM longhold_run WHERE status IN ('running', 'stopped') AND run_id <> ? LIMIT 1",
      )
      .pluck()
      .get(runId)
    if (column === undefined) return
    const { shown } = this.options
    throw new Problem('wrong', `an unfinished run on ${shown} is on the member ${column}`, {
      hint: `finish it first, with --column ${column}; or remove ${shown}.longhold.partial and ${this.names.journal} to begin anew`,
    })
  }

  #writePage({ page, replacements }: DecidedPage): { bytesBefore: number; bytesAfter: number } {
    if (!(page instanceof RecordsPage)) throw new RangeError('a page of another source')
    const chunks: Buffer[] = []
    let bytesBefore = 0
    let bytesAfter = 0
    let row = 0
    for (const { bytes, parsed } of page.records) {
      const replacement = parsed === undefined ? undefined : replacements.get(row)
      if (parsed !== undefined) row++
      if (parsed === undefined || replacement === undefined) {
        chunks.push(bytes)
        continue
      }
      if (typeof replacement !== 'string') throw new TypeError('a record of a file takes the text form')
      chunks.push(parsed.replace(replacement))
      bytesBefore += parsed.ownBytes
      bytesAfter += replacement.length + 2
    }
    const all = Buffer.concat(chunks)
    for (let at = 0; at < all.length;) {
      at += writeSync(this.#outputFd(), all, at, all.length - at, this.#written + at)
    }
    this.#written += all.length
    return { bytesBefore, bytesAfter }
  }

  #openOutput(state: RunState): number {
    const { input, output, partial } = this.names
    const shown = `${this.options.shown}.longhold`
    const isNew = state.position === undefined
    if (isNew && existsSync(output)) {
      throw new Problem('wrong', `${shown} exists already and is not overwritten`, {
        hint: 'move it away first',
      })
    }
    if (isNew) {
      const { mode, uid, gid } = statSync(input)
      const fd = openSync(partial, 'w', mode & 0o777)
      fchmodSync(fd, mode & 0o7777)
      try {
        chownSync(partial, uid, gid)
      } catch {
        // Only root may give files away; for others it is theirs already, or stays so.
      }
      return fd
    }
    // A run that broke off after its last step left the file with its final name; before, only the partial is its own.
    const isWhole = decodePosition(state.position).offset === this.size().total
    const own = !existsSync(partial) && isWhole ? output : partial
    if (!existsSync(own)) {
      throw new Problem('wrong', `${shown}.partial, which the run had begun, is gone`, {
        hint: `bring it back, or remove ${this.names.journal} to begin anew: ${this.options.shown} is unchanged`,
      })
    }
    const fd = openSync(own, 'r+')
    if (fstatSync(fd).size < this.#written) {
      closeSync(fd)
      throw new Problem('wrong', `${shown}.partial is shorter than the run left it`, {
        hint: `remove it and ${this.names.journal} to begin anew`,
      })
    }
    // What was written after the last position is written again.
    ftruncateSync(fd, this.#written)
    return fd
  }

  #outputFd(): number {
    if (this.#output === undefined) throw new Error('the run has not begun')
    return this.#output
  }

  #publishKeys(keyIds: readonly string[]): void {
    const stored = keyIds.flatMap((keyId) => this.#journal.dataKey(keyId) ?? [])
    if (stored.length > 0) this.#keys.merge(stored, new Date().toISOString())
  }

  #storedIdentity(runId: string): FileIdentity | undefined {
    const text = this.#database
      .prepare<[string], string>('SELECT identity FROM longhold_run_input WHERE run_id = ?')
      .pluck()
      .get(runId)
    // Written by `begin`.
    return typeof text === 'string' ? (JSON.parse(text) as FileIdentity) : undefined
  }

  #changed(): Problem {
    const { shown } = this.options
    return new Problem('refused', `${shown} changed while it was re-encrypted`, {
      hint: `stop what writes it; remove ${shown}.longhold.partial and ${this.names.journal} to begin anew`,
    })
  }

  #transaction(step: () => void): void {
    try {
      this.#database.transaction(step).immediate()
    } catch (error) {
      throw translate(error, this.names.journal)
    }
  }

  #files<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      throw fileProblem(error, `${this.options.shown}.longhold`, 'write')
    }
  }
}
