/** How much of an envelope was touched. */

import type { RandomAccessSource } from '../../packages/core/src/index.ts'

const sealedChunkBytes = 16_400

export interface Touched {
  readonly reads: number
  readonly bytes: number
  /** Chunks of the body, and one for the header. */
  readonly chunks: number
}

/** Passes reads on and takes note of them. */
export class CountingSource implements RandomAccessSource {
  readonly size: number
  readonly #source: RandomAccessSource
  readonly #reads: { offset: number; length: number }[] = []

  constructor(source: RandomAccessSource) {
    this.#source = source
    this.size = source.size
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#reads.push({ offset, length })
    return await this.#source.read(offset, length)
  }

  touched(): Touched {
    const behindHeader = this.#reads.filter(({ offset }) => offset > 0)
    const bytes = this.#reads.reduce((sum, { length }) => sum + length, 0)
    const chunks = behindHeader.reduce((sum, { length }) => sum + Math.ceil(length / sealedChunkBytes), 0)
    return { reads: this.#reads.length, bytes, chunks: chunks + 1 }
  }
}
