/**
 * One run at a time on a target. The lock is an exclusive transaction on a small SQLite file beside the target: the
 * system gives it up when the process ends, however it ends, so a killed run never blocks the next one.
 */

import { hash } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

import Database from 'better-sqlite3'

import { fileProblem, Problem } from './problem.ts'
import { sqliteCode } from './sqlite-errors.ts'

/** Where locks and journals of files live, beside the target. */
export const stateDirectory = '.longhold'

export class TargetLock {
  readonly #database: Database.Database

  private constructor(database: Database.Database) {
    this.#database = database
  }

  /**
   * @param directory The target's, symbolic links resolved, so that two names of one target meet in one lock.
   * @param name One per target.
   * @param shown The target as a person would name it.
   * @throws Problem `stopped` when another run holds it, `wrong` when the directory cannot be written.
   */
  static take(directory: string, name: string, shown: string): TargetLock {
    const path = join(makeStateDirectory(directory), `${name}.lock`)
    let database: Database.Database | undefined
    try {
      // Long enough for somebody who only looks whether it is held.
      database = new Database(path, { timeout: 500 })
      database.exec('BEGIN EXCLUSIVE')
      return new TargetLock(database)
    } catch (error) {
      database?.close()
      const code = sqliteCode(error) ?? ''
      if (code.startsWith('SQLITE_BUSY')) {
        throw new Problem('stopped', `another run is at work on ${shown}`, {
          hint: 'longhold reencrypt status shows it; wait until it has ended',
        })
      }
      if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_WRITE') {
        throw new Problem('stopped', `cannot lock ${shown}: ${path} cannot grow`, {
          hint: 'free some space on its disk and run the same command again',
        })
      }
      throw new Problem('wrong', `cannot lock ${shown}: ${path}: ${code === '' ? String(error) : code}`, {
        hint: 'the directory must be on a file system with locks, and writable for you',
      })
    }
  }

  /** True while some process holds the lock of that name. Changes nothing. */
  static isHeld(directory: string, name: string): boolean {
    let database: Database.Database | undefined
    try {
      database = new Database(join(directory, stateDirectory, `${name}.lock`), {
        readonly: true,
        timeout: 0,
      })
      database.pragma('schema_version')
      return false
    } catch (error) {
      return sqliteCode(error)?.startsWith('SQLITE_BUSY') ?? false
    } finally {
      database?.close()
    }
  }

  release(): void {
    this.#database.close()
  }
}

/** @throws Problem when it cannot be made. */
export function makeStateDirectory(directory: string): string {
  const path = join(directory, stateDirectory)
  try {
    if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(path, 0o700)
    return path
  } catch (error) {
    throw fileProblem(error, path, 'write')
  }
}

/** A file name for a target: readable where it can be, and never the same for two targets. */
export function lockName(...parts: readonly string[]): string {
  const name = parts.map((part) => encodeURIComponent(part).replaceAll('*', '%2A')).join('+')
  return name.length <= 100 ? name : hash('sha256', name)
}
