/** Bytes that come in pieces, and the bodies of OpenPGP packets among them. */

import { malformed } from './legacy-format.ts'
import { readLength, readPacketHeader } from './openpgp-packets.ts'
import type { PacketHeader } from './openpgp-packets.ts'

export type Pieces = AsyncGenerator<Uint8Array, void, void>

/** Reads pieces from front to end; they are not ended when it is left. */
export class PieceReader {
  readonly #pieces: AsyncIterator<Uint8Array>
  #current: Uint8Array = new Uint8Array()

  constructor(pieces: AsyncIterator<Uint8Array>) {
    this.#pieces = pieces
  }

  /** At least one byte and at most so many; undefined at the end. */
  async upTo(maxBytes: number): Promise<Uint8Array | undefined> {
    while (this.#current.length === 0) {
      const { done, value } = await this.#pieces.next()
      if (done === true) return undefined
      this.#current = value
    }
    const taken = this.#current.subarray(0, maxBytes)
    this.#current = this.#current.subarray(taken.length)
    return taken
  }

  /** @throws LegacyError `malformed` when they are not there. */
  async exactly(bytes: number): Promise<Uint8Array> {
    const found = new Uint8Array(bytes)
    for (let at = 0; at < bytes;) {
      const piece = await this.upTo(bytes - at)
      if (piece === undefined) throw malformed('it is cut off')
      found.set(piece, at)
      at += piece.length
    }
    return found
  }

  /** @returns Undefined at the end. @throws LegacyError `malformed` */
  async header(): Promise<PacketHeader | undefined> {
    const first = await this.upTo(1)
    if (first === undefined) return undefined
    const bytes = [first[0] ?? 0]
    while (bytes.length <= 6) {
      const header = readPacketHeader(Uint8Array.from(bytes))
      if (header !== undefined) return header
      const [next = 0] = await this.exactly(1)
      bytes.push(next)
    }
    throw malformed('a packet is none')
  }

  /** The body of the packet whose header was read (RFC 9580 §4.2.1.4). @throws LegacyError `malformed` */
  async *body({ bodyBytes, isPartial }: PacketHeader): Pieces {
    let left = bodyBytes ?? Infinity
    let isMore = isPartial
    for (;;) {
      while (left > 0) {
        const piece = await this.upTo(left)
        if (piece === undefined && left === Infinity) return
        if (piece === undefined) throw malformed('it is cut off')
        yield piece
        left -= piece.length
      }
      if (!isMore) return
      const [first = 0] = await this.exactly(1)
      const more = await this.exactly(first < 192 ? 0 : first < 224 ? 1 : first < 255 ? 0 : 4)
      const [b = 0, c = 0, d = 0, e = 0] = more
      const part = readLength([first, b, c, d, e])
      left = part.bodyBytes
      isMore = part.isPartial
    }
  }
}
