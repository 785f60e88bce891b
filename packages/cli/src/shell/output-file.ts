/** Files that are written whole or not at all, in pieces or at once. */

import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { chmod, chown, link, lstat, open, realpath, rename, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { CliError, codeOf, exit, fileError, usage } from './errors.ts'
import { pieceBytes } from './input.ts'
import { giveBack } from './memory.ts'
import type { Terminal } from './terminal.ts'

export interface WriteOptions {
  /** Replace what is there. Without it an existing name is an error. */
  readonly overwrite?: boolean
  /** Permission bits, before the umask. */
  readonly mode?: number
  /** Give the new file the mode and owner of the old one. */
  readonly like?: Stats | undefined
}

/** @throws CliError (exit 2) when the name is taken. Called before the work, so that it is not done in vain. */
export async function checkOutput(terminal: Terminal, path: string, overwrite: boolean): Promise<void> {
  const found = await lstat(terminal.path(path)).catch(() => undefined)
  if (found === undefined || isDevice(found)) return
  if (found.isDirectory()) throw usage(`${path} is a directory`, { hint: 'give a file name with --output' })
  if (!overwrite) throw taken(path)
}

/**
 * Writes a file in one go; what `OutputFile` says holds.
 *
 * @throws CliError: exit 2 when the name is taken or may not be written, 4 when the disk is full.
 */
export async function writeOutput(
  terminal: Terminal,
  path: string,
  bytes: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  await using file = await OutputFile.create(terminal, path, options)
  await file.write(typeof bytes === 'string' ? Buffer.from(bytes) : bytes)
  await file.commit()
}

interface Place {
  /** As given, for messages. */
  readonly shown: string
  readonly target: string
  /** Undefined for a device or a pipe, which are written to as they are. */
  readonly temporary: string | undefined
}

/**
 * A file under way. Its name shows all of the old content or all of the new one at any time: what is written goes to
 * a temporary name in the same directory, and `commit` brings it to the disk and renames it. Disposed of without
 * `commit` it leaves nothing behind. Every method throws a CliError: exit 2 when the name is taken or may not be
 * written, 4 when the disk is full.
 */
export class OutputFile {
  readonly runBytes = pieceBytes
  readonly #place: Place
  readonly #options: WriteOptions
  readonly #handle: FileHandle
  #isOpen = true

  private constructor(place: Place, options: WriteOptions, handle: FileHandle) {
    this.#place = place
    this.#options = options
    this.#handle = handle
  }

  static async create(terminal: Terminal, path: string, options: WriteOptions = {}): Promise<OutputFile> {
    return await naming(path, async () => {
      let target = terminal.path(path)
      const existing = await stat(target).catch(() => undefined)
      if (existing !== undefined && isDevice(existing)) {
        const place = { shown: path, target, temporary: undefined }
        return new OutputFile(place, options, await open(target, 'w'))
      }
      // A link stays a link: the file it names is the one that is replaced.
      if (existing !== undefined && options.overwrite === true) target = await realpath(target)
      await checkOutput(terminal, path, options.overwrite === true)
      const temporary = join(dirname(target), `.longhold-${randomBytes(8).toString('hex')}.tmp`)
      const handle = await open(temporary, 'wx', options.mode ?? 0o666)
      return new OutputFile({ shown: path, target, temporary }, options, handle)
    })
  }

  async write(...pieces: readonly Uint8Array[]): Promise<void> {
    await naming(this.#place.shown, async () => {
      let left = behind(pieces, 0)
      while (left.length > 0) left = behind(left, (await this.#handle.writev(left)).bytesWritten)
    })
  }

  forget(...pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) giveBack(piece)
  }

  /** Contents to the disk, then the name, then the directory to the disk. */
  async commit(): Promise<void> {
    const { shown, target, temporary } = this.#place
    await naming(shown, async () => {
      if (temporary !== undefined) await this.#handle.sync()
      await this.#close()
      if (temporary === undefined) return
      const { like, overwrite } = this.#options
      if (like !== undefined) await takeAfter(temporary, like)
      await (overwrite === true ? rename(temporary, target) : claim(temporary, target))
      await syncDirectory(dirname(target))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close().catch(() => {}) // whatever it is, it was said by the step that failed
    const { temporary } = this.#place
    if (temporary !== undefined) await unlink(temporary).catch(() => {}) // gone already when all went well
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#handle.close()
  }
}

/** What of the pieces is not written yet: a write may take a part of what it is given. */
function behind(pieces: readonly Uint8Array[], written: number): Uint8Array[] {
  let skipped = 0
  return pieces.flatMap((piece) => {
    const skip = Math.min(written - skipped, piece.length)
    skipped += skip
    return skip < piece.length ? [piece.subarray(skip)] : []
  })
}

/** Errors of the file system as ours, under the name the person gave. */
async function naming<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw taken(path)
    throw fileError(error, path, 'write')
  }
}

/** Owner first: changing it may clear mode bits. Only root may give files away; others own it already. */
async function takeAfter(path: string, like: Stats): Promise<void> {
  await chown(path, like.uid, like.gid).catch(() => {})
  await chmod(path, like.mode & 0o7777)
}

/** A rename that fails when the name exists. */
async function claim(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target)
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error
    // A file system without hard links: take the name first, then put the content in its place.
    await (await open(target, 'wx', 0o600)).close()
    await rename(temporary, target)
  }
}

/** Makes the names in a directory durable. Some file systems cannot, and need not. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EPERM'].includes(codeOf(error) ?? '')) throw error
  } finally {
    await directory.close()
  }
}

function isDevice(stats: Stats): boolean {
  return stats.isCharacterDevice() || stats.isFIFO()
}

function taken(path: string): CliError {
  return new CliError('exists', exit.usage, `${path} exists already and is not overwritten`, {
    hint: 'choose another name, or move it away first',
  })
}
