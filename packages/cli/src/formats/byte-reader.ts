/** Reads bytes from front to end, never past it. */

import { malformed } from './legacy-format.ts'

export class ByteReader {
  readonly bytes: Uint8Array
  #at: number
  readonly #view: DataView

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.#at = at
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Where the next byte is. */
  get at(): number {
    return this.#at
  }

  get left(): number {
    return this.bytes.length - this.#at
  }

  /** Not a copy. @throws LegacyError `malformed` when there are fewer. */
  take(count: number): Uint8Array {
    return this.bytes.subarray(this.#skip(count), this.#at)
  }

  uint8(): number {
    return this.#view.getUint8(this.#skip(1))
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2))
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4))
  }

  /** @throws LegacyError `malformed` also for more than any file holds. */
  uint64(): number {
    const value = this.#view.getBigUint64(this.#skip(8))
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed('a length is beyond all sizes')
    return Number(value)
  }

  #skip(count: number): number {
    if (count > this.left) throw malformed('it is cut off')
    const start = this.#at
    this.#at += count
    return start
  }
}
