/**
 * Files replaced, put back and finalised. In this order, so that a kill or a power cut at any point leaves each file
 * as it was or as its envelope, and the journal knows which: the envelope is on the disk; the journal says what will
 * happen; a second name keeps the old file; the envelope takes the first name; the journal says that it happened.
 */

import {
  closeSync,
  copyFileSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

import type { ObjectJournal, ObjectRow } from './object-journal.ts'
import type { DecidedObjects, ListedObject, ObjectsPutBack, StagedEnvelope } from './object-source.ts'
import { fileProblem, Problem } from './problem.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { stateDirectory } from './target-lock.ts'
import { contentVersion, versionAt } from './tree-files.ts'

interface Replacement {
  readonly object: ListedObject
  readonly envelope: StagedEnvelope
  readonly path: string
  /** The second name of the old file. */
  readonly original: string
}

type End = 'done' | 'conflict' | DeadLetter

/** Replaces the files of a page that still are what was read. @throws Problem `stopped` for a full disk and its like. */
export function replaceFiles(
  root: string,
  journal: ObjectJournal,
  state: RunState,
  decided: DecidedObjects,
): RunState {
  const { runId } = state
  const replacements = replacementsOf(root, runId, decided)
  const ends = new Map<Replacement, End>()
  const open = (): Replacement[] => replacements.filter((one) => !ends.has(one))
  for (const one of replacements) {
    if (versionAt(one.path) !== one.object.version) ends.set(one, 'conflict')
  }
  const replacedBefore = journal.prepare(runId, open().map(rowOf))
  const versions = new Map<Replacement, string | undefined>()
  if (open().length > 0) makeOriginals(root, runId)
  for (const one of open()) {
    const end = attempt(one, () => keepOriginal(one))
    if (end !== undefined) ends.set(one, end)
    versions.set(one, versionAt(one.path)) // the second name counts as a change of it
  }
  if (open().length > 0) syncDirectory(originalsOf(root, runId))
  for (const one of open()) {
    const end = attempt(one, () => takePlace(one, versions.get(one)))
    ends.set(one, end ?? 'done')
  }
  for (const directory of new Set(replacements.map(({ path }) => dirname(path)))) syncDirectory(directory)
  for (const [one, end] of ends) if (end !== 'done' || !state.keepsOriginals) remove(one.original)
  const next = journal.commit(state, decided, outcomeOf(ends))
  for (const { keyId } of replacedBefore) remove(join(originalsOf(root, runId), keyId))
  return next
}

function replacementsOf(root: string, runId: string, { page, fates }: DecidedObjects): Replacement[] {
  return page.objects.flatMap((object, index) => {
    const fate = fates[index]
    if (fate?.fate !== 'staged') return []
    const { envelope } = fate
    const original = join(originalsOf(root, runId), envelope.keyId)
    return [{ object, envelope, path: join(root, object.name), original }]
  })
}

function rowOf({ object, envelope }: Replacement): ObjectRow {
  const { keyId, path, bytes } = envelope
  const { name, version, size } = object
  return { name, keyId, version, staged: path, bytesBefore: size, bytesAfter: bytes }
}

/** A second name for the old file; where the file system has no such names, a copy. */
function keepOriginal({ object, path, original }: Replacement): 'conflict' | undefined {
  try {
    linkSync(path, original)
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'].includes(codeOf(error))) throw error
    copyFileSync(path, original)
    syncFile(original)
    return versionAt(path) === object.version ? undefined : 'conflict'
  }
  const version = versionAt(original)
  return version !== undefined && contentVersion(version) === contentVersion(object.version)
    ? undefined
    : 'conflict'
}

/** The look and the renaming stand side by side: nothing of ours runs between them. */
function takePlace(
  { object, envelope, path, original }: Replacement,
  version: string | undefined,
): 'conflict' | undefined {
  if (version === undefined || contentVersion(version) !== contentVersion(object.version)) return 'conflict'
  if (versionAt(path) !== version) return 'conflict'
  renameSync(envelope.path, path)
  const old = versionAt(original)
  if (old === undefined || isCopy(old, version) || contentVersion(old) === contentVersion(version))
    return undefined
  // Somebody wrote into the old file in the meantime: it gets its place back, with what was written.
  if (keyIdAt(path) === envelope.keyId) renameSync(original, path)
  return 'conflict'
}

/** A copy is a file of its own. */
function isCopy(version: string, other: string): boolean {
  return version.split('.')[1] !== other.split('.')[1] || version.split('.')[0] !== other.split('.')[0]
}

/** What is a fault of one file becomes its end; what stops everything is thrown. */
function attempt(one: Replacement, step: () => End | undefined): End | undefined {
  try {
    return step()
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') return 'conflict'
    if (!['EACCES', 'EPERM', 'EROFS'].includes(code)) throw fileProblem(error, one.object.name, 'write')
    return { locator: one.object.name, format: undefined, keyId: undefined, code: 'not_writable' }
  }
}

function outcomeOf(ends: ReadonlyMap<Replacement, End>) {
  const done = [...ends].filter(([, end]) => end === 'done').map(([one]) => one)
  const undone = [...ends].filter(([, end]) => end !== 'done').map(([one]) => one.object.name)
  const sum = (of: (one: Replacement) => number): number => done.reduce((total, one) => total + of(one), 0)
  return {
    migrated: done.length,
    conflict: [...ends.values()].filter((end) => end === 'conflict').length,
    dead: [...ends.values()].filter((end) => typeof end === 'object'),
    unauthenticated: sum(({ envelope }) => (envelope.isAuthenticated ? 0 : 1)),
    bytesBefore: sum(({ object }) => object.size),
    bytesAfter: sum(({ envelope }) => envelope.bytes),
    done: done.map(({ object }) => object.name),
    undone,
  }
}

/** Settles what a killed run had begun. @returns The state with what did happen counted. */
export function mendTree(root: string, journal: ObjectJournal, state: RunState): RunState {
  const { runId } = state
  const rows = journal.unsettled(runId)
  if (rows.length === 0) return state
  const done = rows.filter(({ name, keyId }) => keyIdAt(join(root, name)) === keyId)
  const undone = rows.filter((row) => !done.includes(row))
  for (const { name } of done) syncDirectory(dirname(join(root, name)))
  for (const { keyId, staged } of undone) {
    remove(staged)
    remove(join(originalsOf(root, runId), keyId))
  }
  if (!state.keepsOriginals) for (const { keyId } of done) remove(join(originalsOf(root, runId), keyId))
  journal.settle(
    runId,
    done.map(({ name }) => name),
    true,
  )
  journal.settle(
    runId,
    undone.map(({ name }) => name),
    false,
  )
  const sum = (of: (row: ObjectRow) => number): number => done.reduce((total, row) => total + of(row), 0)
  return {
    ...state,
    migrated: state.migrated + done.length,
    bytesBefore: state.bytesBefore + sum((row) => row.bytesBefore),
    bytesAfter: state.bytesAfter + sum((row) => row.bytesAfter),
  }
}

const putBackFiles = 200

/** Puts old files back where the envelopes of the run still stand. */
export function putBackTree(
  root: string,
  journal: ObjectJournal,
  { runId }: RunState,
  after = '',
): ObjectsPutBack | undefined {
  const rows = journal.done(runId, after, putBackFiles)
  const last = rows.at(-1)
  if (last === undefined) return undefined
  let restored = 0
  const directories = new Set<string>()
  for (const { name, keyId } of rows) {
    const [path, original] = [join(root, name), join(originalsOf(root, runId), keyId)]
    if (keyIdAt(path) === keyId && versionAt(original) !== undefined) {
      renameSync(original, path)
      directories.add(dirname(path))
      restored++
    }
  }
  for (const directory of directories) syncDirectory(directory)
  for (const { keyId } of rows) remove(join(originalsOf(root, runId), keyId))
  journal.forget(
    runId,
    rows.map(({ name }) => name),
  )
  return { restored, changed: rows.length - restored, after: last.name }
}

/** Removes the old files, unless somebody wrote into one of them after it was read. */
export function finalizeTree(root: string, journal: ObjectJournal, state: RunState): void {
  const { runId } = state
  for (let rows = journal.done(runId, '', 1000); rows.length > 0;) {
    for (const { name, keyId, version } of rows) {
      const now = versionAt(join(originalsOf(root, runId), keyId))
      if (now === undefined || isCopy(now, version)) continue
      if (contentVersion(now) === contentVersion(version)) continue
      throw new Problem('refused', `somebody wrote into the old file of ${name} after it was re-encrypted`, {
        hint: `a program has held it open: see ${join(stateDirectory, 'originals', runId, keyId)}, then put it in place or remove it`,
      })
    }
    rows = journal.done(runId, rows.at(-1)?.name ?? '', 1000)
  }
  rmSync(originalsOf(root, runId), { recursive: true, force: true })
  journal.forgetRun(state)
}

function originalsOf(root: string, runId: string): string {
  return join(root, stateDirectory, 'originals', runId)
}

function makeOriginals(root: string, runId: string): void {
  const path = originalsOf(root, runId)
  if (mkdirSync(path, { recursive: true, mode: 0o700 }) === undefined) return
  for (const directory of [dirname(path), dirname(dirname(path)), root]) syncDirectory(directory)
}

/** Of the envelope there; undefined for anything else. */
function keyIdAt(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(20) // prefix and key id (SPEC §5.1)
    if (readSync(file, head, 0, head.length, 0) < head.length || head.toString('latin1', 0, 3) !== 'LHE')
      return undefined
    return head.toString('hex', 4)
  } finally {
    closeSync(file)
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Makes the names in a directory durable. Some file systems cannot, and need not. */
function syncDirectory(path: string): void {
  try {
    syncFile(path)
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EPERM', 'ENOENT'].includes(codeOf(error)))
      throw fileProblem(error, path, 'write')
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw fileProblem(error, path, 'write')
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
