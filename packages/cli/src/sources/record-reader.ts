/** Reads the records of a file as bytes, from any offset, without holding more than is asked for. */

import { readSync } from 'node:fs'

import type { FileLayout } from './file-layout.ts'
import { Problem } from './problem.ts'

export interface FileRecord {
  /** Its end of line included, if it has one. */
  readonly bytes: Buffer
  /** Of its first byte in the file. */
  readonly offset: number
}

const chunkBytes = 1024 * 1024
/** Two values of 64 MiB in hexadecimal, and some. */
const maxRecordBytes = 300 * 1024 * 1024

export class RecordReader {
  readonly #fd: number
  readonly #shown: string
  readonly #layout: FileLayout
  #buffer: Buffer = Buffer.alloc(0)
  /** Where the buffer stands in the file. */
  #start = 0
  #isAtEnd = false

  /** @param fd Stays the caller's. */
  constructor(fd: number, shown: string, layout: FileLayout) {
    this.#fd = fd
    this.#shown = shown
    this.#layout = layout
  }

  /**
   * The record that begins at the offset, or undefined at the end of the file.
   *
   * @throws Problem `refused` for a record above 300 MiB.
   */
  recordAt(offset: number): FileRecord | undefined {
    if (offset < this.#start || offset > this.#start + this.#buffer.length) {
      this.#buffer = Buffer.alloc(0)
      this.#start = offset
      this.#isAtEnd = false
    }
    let from = offset - this.#start
    let scanned = from
    for (;;) {
      const end = this.#layout.endOf(this.#buffer, from, scanned)
      if (end !== undefined) return { bytes: this.#buffer.subarray(from, end), offset }
      if (this.#isAtEnd) {
        return from < this.#buffer.length ? { bytes: this.#buffer.subarray(from), offset } : undefined
      }
      const rest = this.#buffer.subarray(from)
      if (rest.length > maxRecordBytes) {
        throw new Problem('refused', `${this.#shown}: the record at byte ${offset} is longer than 300 MiB`, {
          hint: `is it really a ${this.#layout.kind.replace(' file', '')} file?`,
        })
      }
      this.#fill(rest, offset)
      from = 0
      scanned = rest.length
    }
  }

  #fill(rest: Buffer, offset: number): void {
    // Twice what there is: a long line is then copied a few times, not once for each chunk.
    const next = Buffer.allocUnsafe(rest.length + Math.max(chunkBytes, rest.length))
    rest.copy(next)
    const read = readSync(this.#fd, next, rest.length, next.length - rest.length, offset + rest.length)
    this.#isAtEnd = read === 0
    this.#buffer = next.subarray(0, rest.length + read)
    this.#start = offset
  }
}
