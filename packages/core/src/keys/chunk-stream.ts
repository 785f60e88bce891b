/** Cuts a stream into chunks and puts it together again, in constant memory (SPEC §6.2, §6.4). */

import { cannotOpen } from '../errors.ts'
import { chunkBytes, sealedChunkBytes, tagBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'

/** What one step may put out at the most: a caller who writes a gigabyte at once does not get another one. */
const chunksPerStep = 64

/** Collects bytes until there are `size` of them. */
class Pieces {
  /** Where what is left over waits for what completes it. */
  readonly #held: Uint8Array
  #filled = 0

  constructor(size: number) {
    this.#held = new Uint8Array(size)
  }

  /** What is left over, shorter than `size`. */
  get rest(): Uint8Array {
    return this.#held.subarray(0, this.#filled)
  }

  /**
   * Runs of whole pieces, at most `chunksPerStep` in each, to be used before the next is taken: they are views of
   * `bytes`, or of what is used again. No byte is copied twice, however small the pieces it comes in.
   */
  *take(bytes: Uint8Array): Generator<Uint8Array> {
    const size = this.#held.length
    let at = 0
    if (this.#filled > 0) {
      at = Math.min(size - this.#filled, bytes.length)
      this.#hold(bytes.subarray(0, at))
      if (this.#filled < size) return
      this.#filled = 0
      yield this.#held
    }
    const whole = at + Math.floor((bytes.length - at) / size) * size
    for (const step = chunksPerStep * size; at < whole; at += step)
      yield bytes.subarray(at, Math.min(at + step, whole))
    this.#hold(bytes.subarray(whole))
  }

  #hold(bytes: Uint8Array): void {
    this.#held.set(bytes, this.#filled)
    this.#filled += bytes.length
  }

  wipe(): void {
    this.#held.fill(0)
  }
}

/** Seals what is pushed, chunk by chunk. */
export class ChunkSealer {
  readonly #cipher: MessageCipher
  readonly #pieces = new Pieces(chunkBytes)
  #chunk = 0

  /** @param cipher Taken over: `wipe` wipes it. */
  constructor(cipher: MessageCipher) {
    this.#cipher = cipher
  }

  *push(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    for (const run of this.#pieces.take(bytes)) {
      const count = run.length / chunkBytes
      const sealed = new Uint8Array(count * sealedChunkBytes)
      this.#cipher.sealChunks(this.#chunk, run, sealed)
      this.#chunk += count
      yield sealed
    }
  }

  /** The final chunk, always short, perhaps empty. */
  finish(): Uint8Array<ArrayBuffer> {
    const { rest } = this.#pieces
    const sealed = new Uint8Array(rest.length + tagBytes)
    this.#cipher.sealChunk(this.#chunk, rest, sealed)
    return sealed
  }

  /** Forgets the key, and the plaintext that waits. Best effort. */
  wipe(): void {
    this.#pieces.wipe()
    this.#cipher.wipe()
  }
}

/** Opens what is pushed; a chunk is released once its own tag was right. */
export class ChunkOpener {
  readonly #cipher: MessageCipher
  readonly #pieces = new Pieces(sealedChunkBytes)
  #chunk = 0

  /** @param cipher Taken over: `wipe` wipes it. */
  constructor(cipher: MessageCipher) {
    this.#cipher = cipher
  }

  /** @throws LongholdError `cannot_open`; what was released before it stays right. */
  *push(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    for (const run of this.#pieces.take(bytes)) {
      const count = run.length / sealedChunkBytes
      const opened = new Uint8Array(count * chunkBytes)
      const right = this.#cipher.openChunksInto(this.#chunk, run, opened)
      this.#chunk += count
      if (right > 0) yield opened.subarray(0, right * chunkBytes)
      if (right < count) throw cannotOpen()
    }
  }

  /**
   * The final chunk.
   *
   * @throws LongholdError `cannot_open` when the stream was cut off.
   */
  finish(): Uint8Array<ArrayBuffer> {
    const { rest } = this.#pieces
    if (rest.length < tagBytes) throw cannotOpen()
    const opened = this.#cipher.openChunk(this.#chunk, rest)
    if (opened === undefined) throw cannotOpen()
    return opened
  }

  /** Forgets the key. Best effort. */
  wipe(): void {
    this.#cipher.wipe()
  }
}
