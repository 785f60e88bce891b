/** The octets of an OCTET STRING that comes in pieces: of one part, or of many, which BER allows (X.690 §8.7.3). */

import { berConstructed, berOctetString, isEndOfContents, maxBerDepth, readBerHeader } from './asn1.ts'
import { malformed } from './legacy-format.ts'

export class OctetSplitter {
  readonly #identifier: number
  readonly #room: number
  /** Where the strings end that consist of others, the innermost last; undefined: indefinite. */
  readonly #ends: (number | undefined)[] = []
  #hasBegun = false
  /** Bytes passed, headers and octets. */
  #at = 0
  /** Octets of the part at hand that are still to come. */
  #left = 0
  /** The beginning of a header whose end has not come: at most 9 bytes. */
  #pending: Uint8Array = new Uint8Array()
  #rest: Uint8Array | undefined

  /**
   * @param identifier Of the string when it has one part.
   * @param room Bytes that it may have at most, with its header.
   */
  constructor(identifier: number, room: number) {
    this.#identifier = identifier
    this.#room = room
  }

  /** Once the string has ended: what came after it in the last piece. */
  get rest(): Uint8Array | undefined {
    return this.#rest
  }

  /** Bytes of the string, headers included, once it has ended. */
  get passed(): number {
    return this.#at
  }

  /**
   * @param piece The next bytes; not to be called after the end.
   * @returns Octets, as parts of the piece.
   * @throws LegacyError `malformed`
   */
  push(piece: Uint8Array): Uint8Array[] {
    const bytes = this.#pending.length === 0 ? piece : Buffer.concat([this.#pending, piece])
    this.#pending = new Uint8Array()
    const octets: Uint8Array[] = []
    let at = 0
    for (;;) {
      if (this.#left > 0) {
        const part = bytes.subarray(at, at + this.#left)
        if (part.length === 0) return octets
        octets.push(part)
        at += part.length
        this.#at += part.length
        this.#left -= part.length
        if (this.#left > 0) return octets
      }
      while (this.#ends.length > 0 && this.#ends.at(-1) === this.#at) this.#ends.pop()
      if (this.#hasBegun && this.#ends.length === 0) {
        this.#rest = bytes.subarray(at)
        return octets
      }
      const taken = this.#header(bytes, at)
      if (taken === undefined) {
        this.#pending = Uint8Array.from(bytes.subarray(at))
        return octets
      }
      at += taken
    }
  }

  /** @returns Its bytes, or undefined when it has not come whole. */
  #header(bytes: Uint8Array, at: number): number | undefined {
    const header = readBerHeader(bytes, at)
    if (header === undefined) return undefined
    const { identifier, headerBytes, length } = header
    const limit = this.#ends.findLast((end) => end !== undefined) ?? this.#room
    this.#at += headerBytes
    if (this.#at + (length ?? 0) > limit) throw malformed('an ASN.1 length beyond its surroundings')
    if (this.#hasBegun && this.#ends.at(-1) === undefined && isEndOfContents(header)) {
      this.#ends.pop()
      return headerBytes
    }
    const wanted = this.#hasBegun ? berOctetString : this.#identifier
    this.#hasBegun = true
    if (identifier === wanted) this.#left = length ?? 0
    else if (identifier === (wanted | berConstructed)) {
      if (this.#ends.length >= maxBerDepth) throw malformed('ASN.1 elements too deep inside each other')
      this.#ends.push(length === undefined ? undefined : this.#at + length)
    } else throw malformed('the encrypted content is missing, or no octet string')
    return headerBytes
  }
}
