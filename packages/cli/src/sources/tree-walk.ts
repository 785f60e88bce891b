/** The entries below a directory, in the order of their bytes, from any position on. Nothing is followed. */

import { lstatSync, readdirSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { matchesGlob } from 'node:path/posix'

import { fileProblem, Problem } from './problem.ts'
import { stateDirectory } from './target-lock.ts'

export type Entry =
  | { readonly kind: 'file'; readonly name: string; readonly position: string; readonly stats: BigIntStats }
  /** Cannot be named or read: nobody knows what it holds. */
  | { readonly kind: 'closed'; readonly name: string; readonly position: string; readonly code: string }
  /** Symbolic links, devices, sockets, pipes, and files that somebody left out. */
  | { readonly kind: 'skipped'; readonly position: string }

export interface WalkSettings {
  /** Absolute. */
  readonly root: string
  /** Globs of paths below the root; without any all files. */
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Files of ours under way: never an entry. */
  readonly isStaged: (name: string) => boolean
}

const slash = Buffer.from('/')

/** @param after The position of an entry: the walk begins behind it. */
export function walk(settings: WalkSettings, after: string | undefined): Generator<Entry, void, void> {
  const path = after === undefined ? [] : after.split('/').map((part) => Buffer.from(part, 'latin1'))
  return walkDirectory(settings, [], path)
}

function* walkDirectory(
  settings: WalkSettings,
  above: readonly Buffer[],
  after: readonly Buffer[],
): Generator<Entry, void, void> {
  const directory = join([Buffer.from(settings.root), ...above])
  const [first, ...rest] = after
  for (const { name, isDirectory, isFile } of entriesOf(directory, above.length === 0)) {
    const order = first === undefined ? 1 : Buffer.compare(name, first)
    if (order < 0 || (order === 0 && rest.length === 0 && !isDirectory)) continue
    const path = [...above, name]
    const position = path.map((part) => part.toString('latin1')).join('/')
    const text = textOf(join(path))
    if (text === undefined) {
      yield { kind: 'closed', name: escaped(join(path)), position, code: 'bad_name' }
    } else if (isDirectory) {
      if (name.toString() === stateDirectory) {
        checkNoTreeInside(join([directory, name]), text, above.length)
        continue
      }
      try {
        yield* walkDirectory(settings, path, order === 0 ? rest : [])
      } catch (error) {
        if (!isClosed(error)) throw error
        yield { kind: 'closed', name: `${text}/`, position, code: 'not_readable' }
      }
    } else if (settings.isStaged(text)) {
      continue
    } else if (!isFile || !isWanted(settings, text)) {
      yield { kind: 'skipped', position }
    } else {
      const stats = lstatSync(join([directory, name]), { bigint: true, throwIfNoEntry: false })
      if (stats?.isFile() === true) yield { kind: 'file', name: text, position, stats }
    }
  }
}

function entriesOf(directory: Buffer, isRoot: boolean) {
  try {
    const entries = readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })
    return entries
      .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory(), isFile: entry.isFile() }))
      .toSorted((a, b) => Buffer.compare(a.name, b.name))
  } catch (error) {
    // Removed since it was listed.
    if (!isRoot && codeOf(error) === 'ENOENT') return []
    if (isRoot) throw fileProblem(error, directory.toString(), 'read')
    throw error
  }
}

/** A tree in this tree would be journalled twice, and rolled back by one of the two journals. */
function checkNoTreeInside(path: Buffer, text: string, depth: number): void {
  if (depth === 0) return
  const journal = lstatSync(Buffer.concat([path, slash, Buffer.from('tree.sqlite')]), {
    throwIfNoEntry: false,
  })
  if (journal === undefined) return
  const inside = text.slice(0, -stateDirectory.length - 1)
  throw new Problem('wrong', `${inside} is a tree of its own, with runs in ${text}`, {
    hint: `finalise it and remove ${text}, or leave it out: --exclude '${inside}/**'`,
  })
}

function isWanted({ include, exclude }: WalkSettings, name: string): boolean {
  if (include.length > 0 && !include.some((glob) => matchesGlob(name, glob))) return false
  return !exclude.some((glob) => matchesGlob(name, glob))
}

function join(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [slash, part])))
}

const utf8Text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(name: Buffer): string | undefined {
  try {
    return utf8Text.decode(name)
  } catch {
    return undefined
  }
}

/** For people: bytes that are no ASCII as `\xff`. */
function escaped(name: Buffer): string {
  return name.toString('latin1').replaceAll(/[^ -~]/gu, (char) => `\\x${char.charCodeAt(0).toString(16)}`)
}

function isClosed(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(codeOf(error))
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
