/** What reading needs of a file of NDJSON: its names, its lines as rows, its journal and its keys. */

import { closeSync, existsSync, fstatSync, openSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import Database from 'better-sqlite3'

import { JournalReader } from './journal.ts'
import { NdjsonKeys } from './ndjson-keys.ts'
import { LineReader } from './ndjson-lines.ts'
import { isBlank, lineColumns, parseLine } from './ndjson-rows.ts'
import type { LineColumns, ParsedLine } from './ndjson-rows.ts'
import { fileProblem } from './problem.ts'
import type { Page, PageLimits, RowReader, SourceRow } from './row-source.ts'
import type { SourceSize, StoredDataKey, TargetDescription, WantedColumns } from './row-source.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { translate } from './sqlite-errors.ts'
import { lockName, stateDirectory, TargetLock } from './target-lock.ts'

export interface NdjsonFileOptions {
  /** Absolute. */
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  /** `id`, or `/a/id` for a member further inside. */
  readonly idMember: string
  readonly columns: WantedColumns
}

/** Names that belong to one file. */
export interface Names {
  readonly input: string
  readonly output: string
  readonly partial: string
  readonly keys: string
  readonly journal: string
  readonly directory: string
  readonly base: string
}

export function namesOf({ path, shown }: NdjsonFileOptions): Names {
  let input: string
  try {
    input = realpathSync(path)
  } catch (error) {
    throw fileProblem(error, shown, 'read')
  }
  const directory = dirname(input)
  const base = basename(input)
  return {
    input,
    output: `${input}.longhold`,
    partial: `${input}.longhold.partial`,
    keys: `${input}.keys.ndjson`,
    journal: join(directory, stateDirectory, `${lockName(base)}.journal`),
    directory,
    base,
  }
}

/** The lines a page is made of: those that are no rows too, since the new file has them as well. */
export class LinesPage implements Page {
  readonly rows: SourceRow[] = []
  readonly lines: { readonly bytes: Buffer; readonly parsed: ParsedLine | undefined }[] = []
  position = ''
  isLast = false
}

interface Position {
  /** In the old file. */
  readonly offset: number
  /** Lines before it. */
  readonly lines: number
  /** Of the new file, once committed. */
  readonly written: number
}

export function encodePosition({ offset, lines, written }: Position): string {
  return [offset, lines, written].join(':')
}

export function decodePosition(position: string | undefined): Position {
  const [offset = 0, lines = 0, written = 0] = (position ?? '').split(':').map(Number)
  return { offset, lines, written }
}

/** What reading needs, of the old file or of the new one. */
export class NdjsonReader implements RowReader {
  readonly target: TargetDescription
  protected readonly names: Names
  protected readonly fd: number
  protected readonly options: NdjsonFileOptions
  readonly #columns: LineColumns
  readonly #reader: LineReader
  readonly #keys: NdjsonKeys

  constructor(options: NdjsonFileOptions, which: 'old' | 'newest') {
    this.options = options
    this.names = namesOf(options)
    this.#columns = lineColumns(options.idMember, options.columns)
    const usesNew = which === 'newest' && existsSync(this.names.output)
    const shown = usesNew ? `${options.shown}.longhold` : options.shown
    const [column = ''] = options.columns.own
    this.target = {
      kind: 'NDJSON file',
      file: options.shown,
      name: `${shown}, member ${column}`,
      table: this.names.base,
      column,
      columns: [...options.columns.own, ...options.columns.read],
      ownColumns: options.columns.own.length,
      notices: [],
    }
    try {
      this.fd = openSync(usesNew ? this.names.output : this.names.input, 'r')
    } catch (error) {
      throw fileProblem(error, shown, 'read')
    }
    this.#reader = new LineReader(this.fd, shown)
    this.#keys = new NdjsonKeys(this.names.keys, `${options.shown}.keys.ndjson`)
  }

  size(): SourceSize {
    return { unit: 'bytes', total: fstatSync(this.fd).size }
  }

  progressOf({ position, status }: RunState): number {
    return status === 'finished' ? this.size().total : decodePosition(position).offset
  }

  read(after: string | undefined, { maxRows, maxBytes }: PageLimits): Page {
    const page = new LinesPage()
    let { offset, lines } = decodePosition(after)
    const start = offset
    while (page.lines.length < maxRows && offset - start < maxBytes) {
      const line = this.#reader.lineAt(offset)
      if (line === undefined) {
        page.isLast = true
        break
      }
      offset += line.bytes.length
      lines++
      const parsed = isBlank(line.bytes) ? undefined : parseLine(line.bytes, lines, this.#columns)
      page.lines.push({ bytes: line.bytes, parsed })
      if (parsed !== undefined) page.rows.push(parsed.row)
    }
    page.position = encodePosition({ offset, lines, written: 0 })
    return page
  }

  latestRun(): RunState | undefined {
    return this.withJournal((journal) => journal.latestRun(this.target.table, this.target.column))
  }

  runs(): RunState[] {
    return this.withJournal((journal) => journal.runs(this.target.table, this.target.column)) ?? []
  }

  *deadLetters(runId: string): Iterable<DeadLetter> {
    yield* this.withJournal((journal) => [...journal.deadLetters(runId)]) ?? []
  }

  dataKey(keyId: string): StoredDataKey | undefined {
    return this.#keys.find(keyId)
  }

  isLocked(): boolean {
    return TargetLock.isHeld(this.names.directory, lockName(this.names.base))
  }

  close(): void {
    closeSync(this.fd)
  }

  protected withJournal<T>(look: (journal: JournalReader) => T): T | undefined {
    if (!existsSync(this.names.journal)) return undefined
    let database: Database.Database | undefined
    try {
      database = new Database(this.names.journal, { readonly: true, timeout: 10_000 })
      return look(new JournalReader(database))
    } catch (error) {
      throw translate(error, this.names.journal)
    } finally {
      database?.close()
    }
  }
}
