/** Small files in: keys, tokens, everything that has to be in memory whole. */

import { open, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'

import { CliError, exit, fileError, usage } from './errors.ts'
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

/** Says so when a file with a secret in it can be read by others. */
export async function warnWhenShared(terminal: Terminal, path: string): Promise<void> {
  const stats = await stat(terminal.path(path)).catch(() => undefined)
  if (stats === undefined || !stats.isFile() || (stats.mode & 0o077) === 0) return
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  terminal.warn(`${path} can be read by others (mode ${mode})`, `chmod 600 ${path}`)
}
