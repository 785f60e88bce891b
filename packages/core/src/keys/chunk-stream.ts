/** Cuts a stream into chunks and puts it together again, in constant memory (SPEC §6.2, §6.4). */

import { wipe } from '../bytes.ts'
import { cannotOpen } from '../errors.ts'
import { chunkBytes, sealedChunkBytes, tagBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'

/** What one step may put out at the most: a caller who writes a gigabyte at once does not get another one. */
const chunksPerStep = 64

const nothing: Uint8Array = new Uint8Array()

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
   * What `use` makes of runs of whole pieces, at most `chunksPerStep` in each, with what was held in front of the first. A piece
   * that comes to more than one run is worked on as the caller goes on. No byte is copied twice, however small the pieces
   * it comes in.
   */
  each<T>(bytes: Uint8Array, use: (held: Uint8Array, following: Uint8Array) => T): Iterable<T> {
    const size = this.#held.length
    let at = 0
    let held = nothing
    if (this.#filled > 0) {
      at = Math.min(size - this.#filled, bytes.length)
      this.#hold(bytes.subarray(0, at))
      if (this.#filled < size) return []
      held = this.#held
    }
    const whole = at + Math.floor((bytes.length - at) / size) * size
    const atMost = chunksPerStep * size - held.length
    if (whole - at > atMost) return this.#eachOf(bytes, { at, whole, held }, use)
    // The usual case, without a generator.
    const made = whole > at || held.length > 0 ? [use(held, bytes.subarray(at, whole))] : []
    this.#filled = 0
    if (whole < bytes.length) this.#hold(bytes.subarray(whole))
    return made
  }

  *#eachOf<T>(
    bytes: Uint8Array,
    { at, whole, held }: { at: number; whole: number; held: Uint8Array },
    use: (held: Uint8Array, following: Uint8Array) => T,
  ): Generator<T> {
    for (let before = held; at < whole; before = nothing) {
      const end = Math.min(at + chunksPerStep * this.#held.length - before.length, whole)
      yield use(before, bytes.subarray(at, end))
      at = end
    }
    this.#filled = 0
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

  /** To be gone through before the next is pushed. */
  push(bytes: Uint8Array): Iterable<Uint8Array<ArrayBuffer>> {
    return this.#pieces.each(bytes, (held, following) => {
      const before = held.length / chunkBytes
      const sealed = new Uint8Array((before + following.length / chunkBytes) * sealedChunkBytes)
      if (before > 0) this.#sealInto(held, sealed)
      this.#sealInto(following, before > 0 ? sealed.subarray(before * sealedChunkBytes) : sealed)
      return sealed
    })
  }

  #sealInto(pieces: Uint8Array, out: Uint8Array): void {
    this.#cipher.sealChunks(this.#chunk, pieces, out)
    this.#chunk += pieces.length / chunkBytes
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

  /**
   * To be gone through before the next is pushed.
   *
   * @throws LongholdError `cannot_open`, here or on the way; what was released before it stays right.
   */
  push(bytes: Uint8Array): Iterable<Uint8Array<ArrayBuffer>> {
    return this.#pieces.each(bytes, (held, following) => {
      const before = held.length / sealedChunkBytes
      const opened = new Uint8Array((before + following.length / sealedChunkBytes) * chunkBytes)
      if (before > 0) this.#openInto(held, opened, opened)
      this.#openInto(following, before > 0 ? opened.subarray(before * chunkBytes) : opened, opened)
      return opened
    })
  }

  #openInto(sealed: Uint8Array, out: Uint8Array, opened: Uint8Array): void {
    const count = sealed.length / sealedChunkBytes
    if (this.#cipher.openChunksInto(this.#chunk, sealed, out) < count) {
      wipe(opened)
      throw cannotOpen()
    }
    this.#chunk += count
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
