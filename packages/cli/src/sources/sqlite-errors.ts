/** SQLite's errors as ours: what happened and what to do, never a bound parameter. */

import { Problem } from './problem.ts'

/** `SQLITE_BUSY` and its like; undefined for other errors. */
export function sqliteCode(error: unknown): string | undefined {
  return error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('SQLITE_')
    ? error.code
    : undefined
}

/** True for a constraint of the table that a replacement breaks: a fault of that row, not of the run. */
export function isConstraint(error: unknown): boolean {
  return sqliteCode(error)?.startsWith('SQLITE_CONSTRAINT') ?? false
}

/** An error for the person at the terminal. Nothing half done is left behind by any of these. */
export function translate(error: unknown, shown: string): unknown {
  const code = sqliteCode(error)
  if (code === undefined) return error
  const kind = code.split('_').slice(0, 2).join('_')
  switch (kind) {
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
      return new Problem('stopped', `${shown} is locked by another process`, {
        hint: 'end its long transaction and run the same command again; --busy-timeout waits longer',
        cause: error,
      })
    case 'SQLITE_FULL':
      return new Problem('stopped', `${shown}: no room is left for it to grow`, {
        hint: 'free some space, then run the same command again: it goes on where it was',
        cause: error,
      })
    case 'SQLITE_IOERR':
      return new Problem('stopped', `${shown}: input/output error (${code})`, {
        hint: 'the disk may be full or failing; run the same command again when it is well',
        cause: error,
      })
    case 'SQLITE_READONLY':
    case 'SQLITE_PERM':
      return new Problem('wrong', `${shown} cannot be written`, {
        hint: 'the file and its directory must be writable for you: ls -l',
        cause: error,
      })
    case 'SQLITE_CANTOPEN':
      return new Problem('wrong', `${shown} cannot be opened`, {
        hint: 'check that it exists and that you may read it and write its directory',
        cause: error,
      })
    case 'SQLITE_NOTADB':
      return new Problem('wrong', `${shown} is not an SQLite database, or it is encrypted`, { cause: error })
    case 'SQLITE_CORRUPT':
      return new Problem('refused', `${shown} is damaged`, {
        hint: 'restore it, or see PRAGMA integrity_check',
        cause: error,
      })
    default:
      return new Problem('stopped', `${shown}: ${code}: ${messageOf(error)}`, { cause: error })
  }
}

// SQLite's own messages name tables, columns and functions. Values stand only in what RAISE() says.
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : String(error)
}
