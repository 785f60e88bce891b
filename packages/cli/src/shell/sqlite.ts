/** SQLite as commands meet it: opened with care, its errors in plain words. */

import { access } from 'node:fs/promises'

import type { Database } from 'better-sqlite3'

import { CliError, codeOf, exit, fileError } from './errors.ts'
import type { Terminal } from './terminal.ts'

const busyTimeoutMs = 2000

/**
 * Opens an existing database for reading and writing.
 *
 * @throws CliError: exit 2 when it is not there or not a database, 4 when it is locked or the disk is full.
 */
export async function openSqlite(terminal: Terminal, path: string): Promise<Database> {
  // Checked by name first: SQLite would say only that it cannot open it.
  await access(terminal.path(path)).catch((error: unknown) => {
    throw fileError(error, path, 'read')
  })
  const { default: SqliteDatabase } = await import('better-sqlite3')
  try {
    const database = new SqliteDatabase(terminal.path(path), { fileMustExist: true, timeout: busyTimeoutMs })
    // Reads the header, so that a file of something else is found out here.
    database.pragma('schema_version')
    return database
  } catch (error) {
    throw sqliteError(error, path)
  }
}

const problems: readonly {
  readonly code: string
  readonly exitCode: 2 | 4
  readonly text: string
  readonly hint: string
}[] = [
  {
    code: 'SQLITE_BUSY',
    exitCode: exit.stopped,
    text: 'another process holds it locked',
    hint: 'run the same command again once that has finished',
  },
  {
    code: 'SQLITE_LOCKED',
    exitCode: exit.stopped,
    text: 'another process holds it locked',
    hint: 'run the same command again once that has finished',
  },
  {
    code: 'SQLITE_FULL',
    exitCode: exit.stopped,
    text: 'the disk is full',
    hint: 'free some space and run the same command again',
  },
  {
    code: 'SQLITE_IOERR',
    exitCode: exit.stopped,
    text: 'input/output error',
    hint: 'the disk may be full or failing',
  },
  {
    code: 'SQLITE_NOTADB',
    exitCode: exit.usage,
    text: 'it is not an SQLite database',
    hint: 'give the file of a database',
  },
  {
    code: 'SQLITE_CORRUPT',
    exitCode: exit.usage,
    text: 'the database is damaged',
    hint: 'restore it from a backup',
  },
  {
    code: 'SQLITE_READONLY',
    exitCode: exit.usage,
    text: 'it may not be written',
    hint: 'check its owner and mode, and those of its directory',
  },
  {
    code: 'SQLITE_CANTOPEN',
    exitCode: exit.usage,
    text: 'it cannot be opened',
    hint: 'check its owner and mode, and those of its directory',
  },
]

/** An error of SQLite as one of ours. The driver's own text stays behind: it can hold values. */
export function sqliteError(error: unknown, path: string): unknown {
  const code = codeOf(error)
  const problem = problems.find((one) => code?.startsWith(one.code))
  if (problem === undefined) return error
  const { exitCode, text, hint } = problem
  return new CliError('database', exitCode, `cannot use ${path}: ${text}`, { hint, cause: error })
}
