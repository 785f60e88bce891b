/**
 * A directory tree whose files are replaced one by one. Journal, lock and originals are in `.longhold/` in its root, on
 * the same file system. An envelope takes the place of a file by renaming, while a link keeps what the file was.
 */

import { randomBytes } from 'node:crypto'
import { existsSync, realpathSync, statSync, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import { ObjectJournal, objectsAs } from './object-journal.ts'
import type {
  DecidedObjects,
  FilePlace,
  ListedObject,
  ObjectPage,
  ObjectPageLimits,
  ObjectReader,
  ObjectsPutBack,
  ObjectSource,
  ObjectTarget,
} from './object-source.ts'
import { fileProblem, Problem } from './problem.ts'
import type { DeadLetter, RunState } from './run-state.ts'
import { stateDirectory, TargetLock } from './target-lock.ts'
import { checkAttributes } from './tree-attributes.ts'
import { versionOf } from './tree-files.ts'
import { finalizeTree, mendTree, putBackTree, replaceFiles } from './tree-replace.ts'
import { walk } from './tree-walk.ts'
import type { Entry, WalkSettings } from './tree-walk.ts'

export interface TreeOptions {
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  readonly include: readonly string[]
  readonly exclude: readonly string[]
}

const journalName = 'tree.sqlite'
const lockName = 'tree'
const stagedName = /^\.longhold-tree-[0-9a-f]{16}\.tmp$/u

/** To look at. */
export function readTree(options: TreeOptions): ObjectReader {
  return new TreeReader(options, rootOf(options))
}

/** @throws Problem when another run is at work on it. */
export function openTree(options: TreeOptions): ObjectSource {
  const root = rootOf(options)
  checkNotInside(root, options.shown)
  const lock = TargetLock.take(root, lockName, options.shown)
  try {
    return new Tree(options, root, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

function rootOf({ path, shown }: TreeOptions): string {
  try {
    const root = realpathSync(path)
    if (statSync(root).isDirectory()) return root
  } catch (error) {
    throw fileProblem(error, shown, 'read')
  }
  throw new Problem('wrong', `${shown} is not a directory`)
}

/** Two journals would keep two stories of one file. */
function checkNotInside(root: string, shown: string): void {
  for (let above = dirname(root); ; above = dirname(above)) {
    if (existsSync(join(above, stateDirectory, journalName))) {
      throw new Problem('wrong', `${shown} is a part of ${above}, on which there are runs already`, {
        hint: `run there, with --include 'DIRECTORY/**'`,
      })
    }
    if (above === dirname(above)) return
  }
}

class TreeReader implements ObjectReader {
  readonly runsAs = objectsAs
  readonly target: ObjectTarget
  readonly root: string
  protected readonly options: TreeOptions
  #walk: { readonly entries: Generator<Entry, void, void>; readonly position: string | undefined } | undefined
  #held: Entry | undefined
  #journal: ObjectJournal | undefined

  constructor(options: TreeOptions, root: string) {
    this.options = options
    this.root = root
    this.target = {
      kind: 'directory tree',
      name: options.shown,
      notices: [
        'programs that hold a file open go on with the old one until they open it again',
        'who writes by renaming a new file into place must be stopped or write envelopes: between the last look at a file and its replacement lie some microseconds',
      ],
    }
  }

  size(): number {
    let bytes = 0
    for (const entry of walk(this.#settings(), undefined)) {
      if (entry.kind === 'file') bytes += Number(entry.stats.size)
    }
    return bytes
  }

  list(after: string | undefined, { maxObjects, maxBytes }: ObjectPageLimits): ObjectPage {
    if (this.#walk === undefined || this.#walk.position !== after) {
      this.#walk = { entries: walk(this.#settings(), after), position: after }
      this.#held = undefined
    }
    const { entries } = this.#walk
    const objects: ListedObject[] = []
    let [skipped, bytes, passed, isLast, position] = [0, 0, 0, false, after ?? '']
    // A page of nothing but skipped entries ends too: Ctrl-C is heard between pages.
    while (objects.length < maxObjects && passed < 10_000) {
      const entry = this.#held ?? entries.next().value ?? undefined
      this.#held = undefined
      if (entry === undefined) {
        isLast = true
        break
      }
      const object = objectOf(entry)
      if (object !== undefined && objects.length > 0 && bytes + object.size > maxBytes) {
        this.#held = entry
        break
      }
      passed++
      position = entry.position
      if (object === undefined) skipped++
      else {
        objects.push(object)
        bytes += object.size
      }
    }
    this.#walk = { entries, position }
    return { objects, skipped, position, isLast }
  }

  place({ name, version }: ListedObject): FilePlace {
    return { kind: 'file', name, path: join(this.root, name), version }
  }

  names(path: string): Readonly<Record<string, string>> {
    return { path }
  }

  latestRun(): RunState | undefined {
    return this.runs()[0]
  }

  runs(): readonly RunState[] {
    return this.journal?.runs() ?? []
  }

  deadLetters(runId: string): Iterable<DeadLetter> {
    return this.journal?.deadLetters(runId) ?? []
  }

  isLocked(): boolean {
    return TargetLock.isHeld(this.root, lockName)
  }

  close(): void {
    this.#journal?.close()
  }

  /** Whether a file is an envelope under way. */
  protected isStaged(name: string): boolean {
    return stagedName.test(basename(name))
  }

  protected get journal(): ObjectJournal | undefined {
    const path = join(this.root, stateDirectory, journalName)
    if (this.#journal === undefined && existsSync(path)) this.#journal = new ObjectJournal(path)
    return this.#journal
  }

  #settings(): WalkSettings {
    const { include, exclude } = this.options
    return { root: this.root, include, exclude, isStaged: (name) => this.isStaged(name) }
  }
}

function objectOf(entry: Entry): ListedObject | undefined {
  if (entry.kind === 'skipped') return undefined
  if (entry.kind === 'closed') return { name: entry.name, size: 0, version: '', problem: entry.code }
  const { name, stats } = entry
  return {
    name,
    size: Number(stats.size),
    version: versionOf(stats),
    // The other name of the file would keep the old form, and be a file of its own from then on.
    problem: stats.nlink > 1n ? 'hard_link' : undefined,
  }
}

class Tree extends TreeReader implements ObjectSource {
  readonly #lock: TargetLock
  readonly #ownJournal: ObjectJournal
  readonly #underWay = new Set<string>()

  constructor(options: TreeOptions, root: string, lock: TargetLock) {
    super(options, root)
    this.#lock = lock
    this.#ownJournal = new ObjectJournal(join(root, stateDirectory, journalName))
  }

  async checkReady(withExtended: boolean): Promise<void> {
    if (withExtended) await checkAttributes(join(this.root, stateDirectory))
  }

  begin(state: RunState): RunState {
    const mended = mendTree(this.root, this.#ownJournal, state)
    this.#ownJournal.save(mended)
    return mended
  }

  stage({ name }: ListedObject): string {
    const path = join(this.root, dirname(name), `.longhold-tree-${randomBytes(8).toString('hex')}.tmp`)
    this.#underWay.add(path)
    return path
  }

  unstage(path: string): void {
    this.#underWay.delete(path)
    try {
      unlinkSync(path)
    } catch {
      // It never came to be.
    }
  }

  isOurs(runId: string, keyId: string): boolean {
    return this.#ownJournal.isOurs(runId, keyId)
  }

  commit(state: RunState, decided: DecidedObjects): RunState {
    const next = replaceFiles(this.root, this.#ownJournal, state, decided)
    for (const fate of decided.fates) if (fate.fate === 'staged') this.unstage(fate.envelope.path)
    return next
  }

  store(state: RunState): void {
    this.#ownJournal.save(state)
  }

  putBack(state: RunState, after: string | undefined): ObjectsPutBack | undefined {
    return putBackTree(this.root, this.#ownJournal, state, after)
  }

  finalize(state: RunState): void {
    finalizeTree(this.root, this.#ownJournal, state)
  }

  override close(): void {
    for (const path of this.#underWay) this.unstage(path)
    this.#ownJournal.close()
    this.#lock.release()
  }

  protected override get journal(): ObjectJournal {
    return this.#ownJournal
  }

  /** Those of a killed run are removed where they are met: the lock says that nobody else is at work. */
  protected override isStaged(name: string): boolean {
    const isStaged = super.isStaged(name)
    const path = join(this.root, name)
    if (isStaged && !this.#underWay.has(path)) this.unstage(path)
    return isStaged
  }
}
