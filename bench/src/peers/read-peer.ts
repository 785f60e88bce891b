/** What competitors without random access offer instead: reading up to the place. */

export interface ReadPeer {
  /** As printed; the package and what of it is used. */
  readonly name: string
  /** The key of its row among the bundle sizes. */
  readonly library: string
  /** These bytes of the plaintext. */
  read(at: number, length: number): Promise<Uint8Array>
}

/** Keeps some bytes of what comes by. */
export class Window {
  readonly bytes: Uint8Array
  readonly #at: number
  #seen = 0

  constructor(at: number, length: number) {
    this.#at = at
    this.bytes = new Uint8Array(length)
  }

  /** Whether all of it has come by. */
  add(piece: Uint8Array): boolean {
    const from = Math.max(this.#at - this.#seen, 0)
    const to = Math.min(this.#at + this.bytes.length - this.#seen, piece.length)
    if (from < to) this.bytes.set(piece.subarray(from, to), this.#seen + from - this.#at)
    this.#seen += piece.length
    return this.#seen >= this.#at + this.bytes.length
  }
}
