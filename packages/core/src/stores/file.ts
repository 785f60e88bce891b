/**
 * Wrapped keys in one file of NDJSON. For one process; the file is replaced whole, so it suits up to some thousands of
 * data keys. Whoever was killed at any point finds it as before or after a change.
 *
 * @module @longhold/core/stores/file
 */

import { open, readFile, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

import { LongholdError, badInput } from '../errors.ts'
import type {
  DataKeyOwner,
  DataKeyPortion,
  DataKeyState,
  DataKeyUse,
  DestroyedDataKey,
  NewDataKey,
  PageOptions,
  StoredDataKey,
  WrappedKeyChange,
  WrappedKeyStore,
  WritingKeyAnswer,
} from '../keys/wrapped-key-store.ts'
import { linesOf, parseLines } from './file-lines.ts'
import { codeOf, lockFile } from './file-lock.ts'
import { KeyTable } from './key-table.ts'

/** One operation that waits to be written. */
interface Change {
  /** Throws what the operation throws; returns what tells its caller that it is durable. */
  readonly apply: (table: KeyTable) => () => void
  readonly reject: (error: unknown) => void
}

/** Wrapped keys in one file of NDJSON, `FILE.keys.ndjson` of SPEC §12. */
export class FileKeyStore implements WrappedKeyStore {
  readonly #path: string
  readonly #unlock: () => void
  #table: KeyTable
  #isClosed = false
  /** Changes are made one after the other, and written together where they come together: each write is of the whole file. */
  #waiting: Change[] = []
  #writing: Promise<void> | undefined

  private constructor(path: string, unlock: () => void, table: KeyTable) {
    this.#path = path
    this.#unlock = unlock
    this.#table = table
  }

  /**
   * Opens a file of wrapped keys, or the place where it will be: it is made with the first data key, mode 0600.
   * Locked until `close`, by `PATH.lock`; a lock that a killed process left is taken over.
   *
   * @throws LongholdError `bad_input` for what is no path; `unavailable` while another process has it, or when it cannot be read; `malformed`.
   */
  static async open(path: string): Promise<FileKeyStore> {
    if (typeof path !== 'string' || path === '') throw badInput('FileKeyStore.open: path must be a string')
    // Through symbolic links: a rename would replace the link.
    const real = await translated(path, () => realpath(path).catch(missing(path)))
    const unlock = await translated(path, async () => lockFile(real))
    try {
      const text = await translated(path, () => readFile(real, 'utf8').catch(missing('')))
      return new FileKeyStore(real, unlock, new KeyTable(parseLines(text, path)))
    } catch (error) {
      unlock()
      throw error
    }
  }

  async get(keyId: Uint8Array): Promise<StoredDataKey | DestroyedDataKey | undefined> {
    return this.#current().get(keyId)
  }

  async findWriting(owner: DataKeyOwner): Promise<StoredDataKey | undefined> {
    return this.#current().findWriting(owner)
  }

  insertWriting(dataKey: NewDataKey, expected: Uint8Array | undefined): Promise<WritingKeyAnswer> {
    return this.#change((table) => table.insertWriting(dataKey, expected))
  }

  reserve(
    keyId: Uint8Array,
    use: DataKeyUse,
    ceiling: DataKeyUse | undefined,
  ): Promise<StoredDataKey | undefined> {
    return this.#change((table) => table.reserve(keyId, use, ceiling))
  }

  release(portions: readonly DataKeyPortion[]): Promise<void> {
    return this.#change((table) => table.release(portions))
  }

  move(keyId: Uint8Array, from: DataKeyState, to: DataKeyState): Promise<boolean> {
    return this.#change((table) => table.move(keyId, from, to))
  }

  replaceWrappedKeys(changes: readonly WrappedKeyChange[]): Promise<readonly boolean[]> {
    return this.#change((table) => table.replaceWrappedKeys(changes))
  }

  setTag(keyId: Uint8Array, tag: Uint8Array): Promise<boolean> {
    return this.#change((table) => table.setTag(keyId, tag))
  }

  async page(options: PageOptions): Promise<readonly StoredDataKey[]> {
    return this.#current().page(options)
  }

  destroy(keyId: Uint8Array): Promise<boolean> {
    return this.#change((table) => table.destroy(keyId))
  }

  /** Waits for what is being written and gives the lock back. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#writing
    this.#unlock()
  }

  /** For `await using`: as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #current(): KeyTable {
    if (this.#isClosed) throw badInput(`the key store ${this.#path} was closed`)
    return this.#table
  }

  async #change<T>(operation: (table: KeyTable) => T): Promise<T> {
    this.#current()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiting.push({
      reject,
      apply: (table) => {
        const result = operation(table)
        return () => resolve(result)
      },
    })
    this.#writing ??= this.#writeWaiting()
    return await promise
  }

  async #writeWaiting(): Promise<void> {
    await Promise.resolve() // what is asked for in the same turn is written together
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0))
    this.#writing = undefined
  }

  /** On a copy: what could not be written did not happen, and what one of them refused changes nothing for the others. */
  async #write(changes: readonly Change[]): Promise<void> {
    let next = this.#table
    let isChanged = false
    const applied: { readonly done: () => void; readonly reject: (error: unknown) => void }[] = []
    for (const { apply, reject } of changes) {
      const fork = next.fork()
      try {
        applied.push({ done: apply(fork), reject })
        next = fork
        isChanged ||= fork.isChanged
      } catch (error) {
        reject(error)
      }
    }
    try {
      if (isChanged) await translated(this.#path, () => replaceFile(this.#path, linesOf(next.entries())))
      this.#table = next
      for (const { done } of applied) done()
    } catch (error) {
      for (const { reject } of applied) reject(error)
    }
  }
}

/** Written aside, made durable, put in place, and the name made durable. */
async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function missing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === 'ENOENT') return instead
    throw error
  }
}

/** What the file system says becomes `unavailable`, with its own code and our name for the file. */
async function translated<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof LongholdError) throw error
    throw new LongholdError(
      'unavailable',
      `the key store ${path} cannot be used (${codeOf(error) ?? 'unknown'})`,
      {
        hint: 'see to its disk and its permissions, then try again',
        cause: error,
      },
    )
  }
}
