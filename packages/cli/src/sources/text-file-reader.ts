/** What reading needs of a text file: its names, its records as rows, its journal and its keys. */

import { closeSync, existsSync, fstatSync, openSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import Database from 'better-sqlite3'

import { DataKeyFile } from './data-key-file.ts'
import type { FileLayout, ParsedRecord, RecordParser } from './file-layout.ts'
import { JournalReader } from './journal.ts'
import { fileProblem } from './problem.ts'
import { RecordReader } from './record-reader.ts'
import type { Page, PageLimits, RowReader, SourceRow } from './row-source.ts'
import type { SourceSize, StoredDataKey, TargetDescription, WantedColumns } from './row-source.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { translate } from './sqlite-errors.ts'
import { lockName, stateDirectory, TargetLock } from './target-lock.ts'

export interface TextFileOptions {
  /** Absolute. */
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  readonly layout: FileLayout
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

export function namesOf({ path, shown }: Pick<TextFileOptions, 'path' | 'shown'>): Names {
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

/** The records a page is made of: those that are no rows too, since the new file has them as well. */
export class RecordsPage implements Page {
  readonly rows: SourceRow[] = []
  readonly records: { readonly bytes: Buffer; readonly parsed: ParsedRecord | undefined }[] = []
  position = ''
  isLast = false
}

interface Position {
  /** In the old file. */
  readonly offset: number
  /** Records before it. */
  readonly records: number
  /** Of the new file, once committed. */
  readonly written: number
}

export function encodePosition({ offset, records, written }: Position): string {
  return [offset, records, written].join(':')
}

export function decodePosition(position: string | undefined): Position {
  const [offset = 0, records = 0, written = 0] = (position ?? '').split(':').map(Number)
  return { offset, records, written }
}

/** What reading needs, of the old file or of the new one. */
export class TextFileReader implements RowReader {
  readonly target: TargetDescription
  protected readonly names: Names
  protected readonly fd: number
  protected readonly options: TextFileOptions
  readonly #parse: RecordParser
  readonly #reader: RecordReader
  readonly #keys: DataKeyFile

  constructor(options: TextFileOptions, which: 'old' | 'newest') {
    this.options = options
    this.names = namesOf(options)
    const usesNew = which === 'newest' && existsSync(this.names.output)
    const shown = usesNew ? `${options.shown}.longhold` : options.shown
    const [column = ''] = options.columns.own
    this.target = {
      kind: options.layout.kind,
      file: options.shown,
      name: `${shown}, ${options.layout.columnWord} ${column}`,
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
    this.#reader = new RecordReader(this.fd, shown, options.layout)
    try {
      this.#parse = options.layout.parser(options.columns, this.#reader.recordAt(0)?.bytes)
    } catch (error) {
      closeSync(this.fd)
      throw error
    }
    this.#keys = new DataKeyFile(this.names.keys, `${options.shown}.keys.ndjson`)
  }

  size(): SourceSize {
    return { unit: 'bytes', total: fstatSync(this.fd).size }
  }

  progressOf({ position, status }: RunState): number {
    return status === 'finished' ? this.size().total : decodePosition(position).offset
  }

  read(after: string | undefined, { maxRows, maxBytes }: PageLimits): Page {
    const page = new RecordsPage()
    let { offset, records } = decodePosition(after)
    const start = offset
    while (page.rows.length < maxRows && offset - start < maxBytes) {
      const record = this.#reader.recordAt(offset)
      if (record === undefined) {
        page.isLast = true
        break
      }
      offset += record.bytes.length
      records++
      const parsed = this.#parse(record.bytes, records)
      page.records.push({ bytes: record.bytes, parsed })
      if (parsed !== undefined) page.rows.push(parsed.row)
    }
    page.position = encodePosition({ offset, records, written: 0 })
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
