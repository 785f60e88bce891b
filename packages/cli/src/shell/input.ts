/** Inputs of any size: files, which are read at any place, and streams, which are read once. */

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import type { Readable } from 'node:stream'

import type { RandomAccessSource } from '@longhold/core'

import { fileError, refused, usage } from './errors.ts'
import { inputName, standardStream } from './files.ts'
import type { Terminal } from './terminal.ts'

/** What is read, encrypted and written at a time: 64 chunks of a body (SPEC §6.2). */
export const pieceBytes = 1024 * 1024

export type Input = InputFile | InputStream

/**
 * A file, or standard input for undefined and `-`. Standard input, pipes and devices are streams.
 *
 * @throws CliError with exit code 2 when it cannot be read.
 */
export async function openInput(terminal: Terminal, path: string | undefined): Promise<Input> {
  terminal.checkStop() // a stream that is aborted before it is read fails with nobody to catch it
  if (path === undefined || path === standardStream) return new InputStream(terminal, standardInput(terminal))
  let handle: FileHandle | undefined
  try {
    handle = await open(terminal.path(path), 'r')
    const stats = await handle.stat()
    if (stats.isDirectory()) throw usage(`${path} is a directory`, { hint: 'give a file' })
    if (stats.isFile()) return new InputFile(terminal, path, handle, stats.size)
    const stream = createReadStream('', { fd: handle })
    return new InputStream(terminal, stream, path)
  } catch (error) {
    await handle?.close()
    throw fileError(error, path, 'read')
  }
}

function standardInput(terminal: Terminal): Readable {
  const { stdin } = terminal.io
  if (stdin.readableEnded || stdin.destroyed) {
    throw usage('standard input was read already', { hint: 'give a file for one of the two' })
  }
  if (stdin.isTTY === true) terminal.note('reading from the terminal; Ctrl-D ends the input')
  return stdin
}

/** A regular file. */
export class InputFile implements RandomAccessSource {
  readonly name: string
  /** When it was opened. */
  readonly size: number
  readonly #terminal: Terminal
  readonly #handle: FileHandle

  constructor(terminal: Terminal, name: string, handle: FileHandle, size: number) {
    this.name = name
    this.size = size
    this.#terminal = terminal
    this.#handle = handle
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(length)
    if ((await this.#fill(bytes, offset)) < length) {
      throw refused(`${this.name} became shorter while it was read`, {
        hint: 'run the command again when nothing writes to it',
      })
    }
    return bytes
  }

  /** From `offset` to the end. A piece is valid until the next one is asked for. */
  async *pieces(offset = 0): AsyncGenerator<Uint8Array> {
    // While one piece is worked on the next one is read.
    let [spare, busy] = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)]
    let at = offset
    let next = this.#fill(spare, at)
    try {
      for (let length = await next; length > 0; length = await next) {
        ;[spare, busy] = [busy, spare]
        at += length
        next = this.#fill(spare, at)
        next.catch(() => {}) // it is awaited in its turn, perhaps after it failed
        yield busy.subarray(0, length)
      }
    } finally {
      await next.catch(() => {})
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }

  /** How much of `bytes` there was: less than all of it only at the end of the file. */
  async #fill(bytes: Uint8Array, offset: number): Promise<number> {
    this.#terminal.checkStop()
    try {
      for (let filled = 0; filled < bytes.length;) {
        const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, offset + filled)
        if (bytesRead === 0) return filled
        filled += bytesRead
      }
      return bytes.length
    } catch (error) {
      throw fileError(error, this.name, 'read')
    }
  }
}

/** Standard input, a pipe or a device. */
export class InputStream {
  readonly name: string
  readonly size = undefined
  readonly #terminal: Terminal
  readonly #stream: Readable
  readonly #iterator: AsyncIterator<unknown>
  #head: Uint8Array = new Uint8Array()

  constructor(terminal: Terminal, stream: Readable, path?: string) {
    this.name = inputName(path)
    this.#terminal = terminal
    this.#stream = addAbortSignal(terminal.signal, stream)
    this.#iterator = this.#stream[Symbol.asyncIterator]()
  }

  /** Once, from the beginning: what `peek` has seen comes again. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    const head = this.#head
    if (head.length > 0) yield head
    for (let piece = await this.#next(); piece !== undefined; piece = await this.#next()) yield piece
  }

  /** The first `length` bytes or a few more, or all there are when the stream is shorter. */
  async peek(length: number): Promise<{ readonly bytes: Uint8Array; readonly ended: boolean }> {
    const parts: Uint8Array[] = []
    let piece: Uint8Array | undefined
    for (let collected = 0; collected < length; collected += piece.length) {
      piece = await this.#next()
      if (piece === undefined) break
      parts.push(piece)
    }
    this.#head = Buffer.concat(parts)
    return { bytes: this.#head, ended: piece === undefined }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy() // what else is written to it goes nowhere, and its writer hears of that
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      const { value, done } = await this.#iterator.next()
      if (done === true) return undefined
      const piece = typeof value === 'string' ? Buffer.from(value) : value
      if (!(piece instanceof Uint8Array)) throw new TypeError('a stream of something other than bytes')
      return piece
    } catch (error) {
      this.#terminal.checkStop()
      throw fileError(error, this.name, 'read')
    }
  }
}
