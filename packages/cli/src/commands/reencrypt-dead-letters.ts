/** The file of dead letters: one line of JSON for each value that stayed as it was. Never a plaintext, never a key. */

import { createWriteStream } from 'node:fs'
import { open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { fileError, usage } from '../shell/errors.ts'
import { readInput } from '../shell/files.ts'
import { syncDirectory } from '../shell/output-file.ts'
import type { Terminal } from '../shell/terminal.ts'
import type { RowSource, TargetDescription } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import type { TargetSettings } from './reencrypt-settings.ts'

export interface DeadLetterFile {
  /** Where the person wants it; undefined: beside the target. */
  readonly path: string | undefined
  readonly target: TargetSettings
  readonly source: RowSource
  readonly state: RunState
}

/**
 * Replaces the file by what the newest pass says. A file of an earlier run becomes an empty one.
 *
 * @returns Its name, or undefined when there is nothing to list.
 */
export async function writeDeadLetters(
  terminal: Terminal,
  { path, target, source, state }: DeadLetterFile,
): Promise<string | undefined> {
  const shown = path ?? defaultName(target, state)
  const besideTarget = path === undefined && target.kind !== 'postgres'
  const absolute = besideTarget ? `${target.path}${shown.slice(target.shown.length)}` : terminal.path(shown)
  const file = { absolute, shown, dead: state.counts.dead }
  return await replaceLetterFile(file, linesOf(source, state))
}

export interface LetterFile {
  readonly absolute: string
  /** As a person would name it. */
  readonly shown: string
  /** How many letters there are. */
  readonly dead: number
}

/** @returns Its name, or undefined when there is nothing to list. */
export async function replaceLetterFile(
  { absolute, shown, dead }: LetterFile,
  lines: Iterable<string> | AsyncIterable<string>,
): Promise<string | undefined> {
  const isThere = await stat(absolute).then(
    () => true,
    () => false,
  )
  if (dead === 0 && !isThere) return undefined
  const temporary = `${absolute}.${process.pid}.tmp`
  try {
    await pipeline(Readable.from(lines), createWriteStream(temporary, { mode: 0o600 }))
    const file = await open(temporary, 'r+')
    await file.sync()
    await file.close()
    await rename(temporary, absolute)
    await syncDirectory(dirname(absolute))
  } catch (error) {
    await unlink(temporary).catch(() => {}) // it may not have come to be
    throw fileError(error, shown, 'write')
  }
  return dead === 0 ? undefined : shown
}

/**
 * The locators in a file of dead letters.
 *
 * @throws CliError (exit 2) for a line that is no dead letter, or one of another target.
 */
export async function readDeadLetters(
  terminal: Terminal,
  path: string,
  { name, table, column }: TargetDescription,
): Promise<Set<string>> {
  const bytes = await readInput(terminal, path, deadLettersLimit)
  const locators = new Set<string>()
  for (const [index, line] of new TextDecoder().decode(bytes).split('\n').entries()) {
    if (line.trim() === '') continue
    const letter = letterOf(line)
    if (letter === undefined) throw usage(`line ${index + 1} of ${path} is no dead letter`)
    if (letter.table !== table || letter.column !== column) {
      throw usage(
        `line ${index + 1} of ${path} is of table ${letter.table}, column ${letter.column}, not of ${name}`,
      )
    }
    locators.add(letter.locator)
  }
  return locators
}

const deadLettersLimit = { maxBytes: 1024 ** 3, reason: 'run over everything instead' }

function letterOf(line: string): { table: string; column: string; locator: string } | undefined {
  try {
    const { table, column, locator } = JSON.parse(line) as Record<string, unknown>
    const isLetter = typeof table === 'string' && typeof column === 'string' && typeof locator === 'string'
    return isLetter ? { table, column, locator } : undefined
  } catch {
    return undefined
  }
}

/** Beside a file; of a server, in the directory the person is in. */
function defaultName({ kind, shown }: TargetSettings, { table }: RunState): string {
  if (kind === 'postgres') return `${table}.dead.ndjson`
  return [shown, ...(kind === 'sqlite' ? [table] : []), 'dead.ndjson'].join('.')
}

async function* linesOf(source: RowSource, { runId, table, column }: RunState): AsyncIterable<string> {
  for await (const { locator, format, keyId, code } of source.deadLetters(runId)) {
    const letter = { table, column, locator, format: format ?? null, key_id: keyId ?? null, code }
    yield `${JSON.stringify(letter)}\n`
  }
}
