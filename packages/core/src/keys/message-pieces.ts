/** One message sealed, or opened, in pieces and in constant memory, whatever kind of stream they come in (SPEC §6.4). */

import { concat } from '../bytes.ts'
import { minBodyBytes } from '../format/container.ts'
import { checkBytes } from '../options.ts'
import { preambleBytes } from '../primitives/cobblestone.ts'
import type { MessageCipher } from '../primitives/cobblestone.ts'
import { ChunkOpener, ChunkSealer } from './chunk-stream.ts'

/** What stands in front of a body, and the cipher of the body. */
export interface NewMessage {
  readonly head: Uint8Array
  readonly cipher: MessageCipher
}

/** What a message is sealed with, and who counts what goes into it. */
export interface Sealing {
  readonly begin: () => Promise<NewMessage>
  /** Asked before that many bytes are sealed, and before the message ends. What it throws fails the stream. */
  readonly admit?: (bytes: number) => Promise<void> | undefined
  readonly admitEnd?: () => void
  /** Called once for a message that was begun, however it ended. */
  readonly over?: () => void
}

/** How a message is found behind what stands in front of it. */
export interface Opening {
  /** Bytes in front of the body, as soon as they can be told. Throws what is wrong with them. */
  readonly measure: (bytes: Uint8Array) => number | undefined
  readonly open: (head: Uint8Array, preamble: Uint8Array) => Promise<MessageCipher>
  readonly tooShort: () => Error
}

/** `begin`, then `admit` and `push` for each piece, then `finish`, which ends it; else, whatever happens, `end`. */
export class MessageSealer {
  readonly #sealing: Sealing
  #chunks: ChunkSealer | undefined
  #hasEnded = false

  constructor(sealing: Sealing) {
    this.#sealing = sealing
  }

  /** What stands in front of the chunks. */
  async begin(): Promise<Uint8Array<ArrayBuffer>> {
    const { head, cipher } = await this.#sealing.begin()
    const beginning = concat(head, cipher.preamble)
    this.#chunks = new ChunkSealer(cipher)
    if (this.#hasEnded) this.end() // it was given up meanwhile
    return beginning
  }

  /** Whether the piece may be sealed; to be awaited only where it gives a promise. */
  admit(bytes: Uint8Array): Promise<void> | undefined {
    checkBytes(bytes, 'a piece of the stream')
    return this.#sealing.admit?.(bytes.length)
  }

  push(bytes: Uint8Array): Iterable<Uint8Array<ArrayBuffer>> {
    checkBytes(bytes, 'a piece of the stream')
    return this.#chunks?.push(plain(bytes)) ?? []
  }

  /** The final chunk. */
  finish(): Uint8Array<ArrayBuffer> {
    try {
      this.#sealing.admitEnd?.()
      return this.#chunks?.finish() ?? new Uint8Array()
    } finally {
      this.end()
    }
  }

  /** Forgets key and plaintext: at any time, as often as one likes. */
  end(): void {
    this.#hasEnded = true
    if (this.#chunks === undefined) return
    this.#chunks.wipe()
    this.#chunks = undefined
    this.#sealing.over?.()
  }
}

/** `begin` with each piece until the message `isOpen`, then `push`, then `finish`, which ends it; else, whatever happens, `end`. */
export class MessageOpener {
  readonly #opening: Opening
  readonly #beginning = new Collected()
  #chunks: ChunkOpener | undefined
  #hasEnded = false

  constructor(opening: Opening) {
    this.#opening = opening
  }

  get isOpen(): boolean {
    return this.#chunks !== undefined
  }

  /** Opens the message once the smallest body is there (SPEC §5.3 step 6); gives what is to be pushed then. */
  async begin(bytes: Uint8Array): Promise<Uint8Array> {
    checkBytes(bytes, 'a piece of the stream')
    const collected = this.#beginning.add(bytes)
    const headLength = this.#opening.measure(collected)
    if (headLength === undefined || collected.length < headLength + minBodyBytes) return new Uint8Array()
    const bodyAt = headLength + preambleBytes
    const preamble = collected.subarray(headLength, bodyAt)
    this.#chunks = new ChunkOpener(await this.#opening.open(collected.subarray(0, headLength), preamble))
    this.#beginning.forget()
    if (this.#hasEnded) this.end() // it was given up meanwhile
    return collected.subarray(bodyAt)
  }

  /** @throws LongholdError `cannot_open`; what was released before it stays right. */
  push(bytes: Uint8Array): Iterable<Uint8Array<ArrayBuffer>> {
    checkBytes(bytes, 'a piece of the stream')
    return this.#hasEnded ? [] : (this.#chunks?.push(plain(bytes)) ?? [])
  }

  /**
   * The final chunk.
   *
   * @throws LongholdError `malformed` or `cannot_open` when the stream was cut off.
   */
  finish(): Uint8Array<ArrayBuffer> {
    try {
      if (this.#chunks === undefined) throw this.#opening.tooShort()
      return this.#chunks.finish()
    } finally {
      this.end()
    }
  }

  /** Forgets the key: at any time, as often as one likes. */
  end(): void {
    this.#hasEnded = true
    this.#chunks?.wipe()
  }
}

/** A Buffer's views cost four times as much. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Bytes that come in pieces, perhaps one by one: room doubles, so that no byte is copied more than twice on average. */
class Collected {
  #room: Uint8Array = new Uint8Array()
  #length = 0

  /** All bytes so far, a view. */
  add(bytes: Uint8Array): Uint8Array {
    const length = this.#length + bytes.length
    if (length > this.#room.length) {
      const room = new Uint8Array(Math.max(length, 2 * this.#room.length))
      room.set(this.#room.subarray(0, this.#length))
      this.#room = room
    }
    this.#room.set(bytes, this.#length)
    this.#length = length
    return this.#room.subarray(0, length)
  }

  /** Views given out stay as they are. */
  forget(): void {
    this.#room = new Uint8Array()
    this.#length = 0
  }
}
