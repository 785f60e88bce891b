/** Files in and out: read with a limit, written whole or not at all. */

import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import { chmod, chown, link, lstat, open, realpath, rename, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { addAbortSignal } from 'node:stream'

import { CliError, codeOf, exit, fileError, usage } from './errors.ts'
import type { Terminal } from './terminal.ts'
import { count } from './text.ts'

/** What stands for standard input or output. */
export const standardStream = '-'

/** How an input is called in messages. */
export function inputName(path: string | undefined): string {
  return path === undefined || path === standardStream ? 'standard input' : path
}

export interface ReadLimit {
  readonly maxBytes: number
  /** The end of the sentence in the message, say `encrypt takes at most 67,108,864 (64 MiB)`. */
  readonly reason: string
}

/**
 * A whole file, or standard input for undefined and `-`. The limit is checked before memory is taken.
 *
 * @throws CliError `limit_exceeded` (exit 1), or exit 2 when the file cannot be read.
 */
export async function readInput(
  terminal: Terminal,
  path: string | undefined,
  limit: ReadLimit,
): Promise<Uint8Array> {
  terminal.checkStop() // a stream that is aborted before it is read fails with nobody to catch it
  if (path !== undefined && path !== standardStream) return await readWholeFile(terminal, path, limit)
  const { stdin } = terminal.io
  if (stdin.readableEnded || stdin.destroyed) {
    throw usage('standard input was read already', { hint: 'give a file for one of the two' })
  }
  if (stdin.isTTY === true) terminal.note('reading from the terminal; Ctrl-D ends the input')
  try {
    return await collect(addAbortSignal(terminal.signal, stdin), inputName(path), limit)
  } catch (error) {
    terminal.checkStop()
    throw fileError(error, inputName(path), 'read')
  }
}

async function readWholeFile(terminal: Terminal, path: string, limit: ReadLimit): Promise<Uint8Array> {
  let file: FileHandle | undefined
  try {
    file = await open(terminal.path(path), 'r')
    const stats = await file.stat()
    if (stats.isDirectory()) throw usage(`${path} is a directory`, { hint: 'give a file' })
    if (stats.isFile() && stats.size > limit.maxBytes) throw tooLong(path, count(stats.size), limit)
    return await collect(file.createReadStream({ autoClose: false, signal: terminal.signal }), path, limit)
  } catch (error) {
    terminal.checkStop()
    throw fileError(error, path, 'read')
  } finally {
    await file?.close()
  }
}

async function collect(chunks: AsyncIterable<unknown>, name: string, limit: ReadLimit): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    const part = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    if (!(part instanceof Uint8Array)) throw new TypeError('a stream of something other than bytes')
    length += part.length
    if (length > limit.maxBytes) throw tooLong(name, `more than ${count(limit.maxBytes)}`, limit)
    parts.push(part)
  }
  return Uint8Array.from(Buffer.concat(parts, length))
}

function tooLong(name: string, bytes: string, { reason }: ReadLimit): CliError {
  return new CliError('limit_exceeded', exit.refused, `${name} has ${bytes} bytes: ${reason}`)
}

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
 * Writes a file so that its name always shows all of the old content or all of the new one: a temporary name
 * in the same directory, fsync, rename, fsync of the directory.
 *
 * @throws CliError: exit 2 when the name is taken or may not be written, 4 when the disk is full.
 */
export async function writeOutput(
  terminal: Terminal,
  path: string,
  bytes: Uint8Array | string,
  { overwrite = false, mode = 0o666, like }: WriteOptions = {},
): Promise<void> {
  let target = terminal.path(path)
  try {
    const existing = await stat(target).catch(() => undefined)
    if (existing !== undefined && isDevice(existing)) return await writeDevice(target, bytes)
    // A link stays a link: the file it names is the one that is replaced.
    if (existing !== undefined && overwrite) target = await realpath(target)
    await checkOutput(terminal, path, overwrite)
    const directory = dirname(target)
    const temporary = join(directory, `.longhold-${randomBytes(8).toString('hex')}.tmp`)
    try {
      await writeDurably(temporary, bytes, mode, like)
      await (overwrite ? rename(temporary, target) : claim(temporary, target))
    } finally {
      await unlink(temporary).catch(() => {}) // gone already when all went well
    }
    await syncDirectory(directory)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw taken(path)
    throw fileError(error, path, 'write')
  }
}

async function writeDurably(
  path: string,
  bytes: Uint8Array | string,
  mode: number,
  like?: Stats,
): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  if (like === undefined) return
  // Owner first: changing it may clear mode bits. Only root may give files away; others own it already.
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

async function writeDevice(path: string, bytes: Uint8Array | string): Promise<void> {
  const device = await open(path, 'w')
  try {
    await device.writeFile(bytes)
  } finally {
    await device.close()
  }
}

/** Says so when a file with a secret in it can be read by others. */
export async function warnWhenShared(terminal: Terminal, path: string): Promise<void> {
  const stats = await stat(terminal.path(path)).catch(() => undefined)
  if (stats === undefined || !stats.isFile() || (stats.mode & 0o077) === 0) return
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  terminal.warn(`${path} can be read by others (mode ${mode})`, `chmod 600 ${path}`)
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
