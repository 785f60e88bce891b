/**
 * Reads BER (X.690 §8), of which DER is a part: what CMS and certificates are written in. Definite and indefinite
 * lengths, bounded depth, every length checked against what surrounds it. No tag numbers above 30, which neither uses.
 */

import { malformed } from './legacy-format.ts'

/** Identifier octets of the universal types that are read here. */
export const berInteger = 0x02
export const berOctetString = 0x04
export const berObjectIdentifier = 0x06
export const berSequence = 0x30
export const berSet = 0x31

/** Or-ed to an identifier: it holds other elements. */
export const berConstructed = 0x20

/** Identifier of `[number] IMPLICIT` of a primitive type; `| berConstructed` for the others and for EXPLICIT. */
export function berContext(number: number): number {
  return 0x80 | number
}

/** Elements inside each other, everything counted. CMS needs 9. */
export const maxBerDepth = 24

const maxLengthBytes = 8

export interface BerHeader {
  readonly identifier: number
  readonly headerBytes: number
  /** Undefined: up to the end-of-contents octets (X.690 §8.1.5). */
  readonly length: number | undefined
}

/**
 * Identifier and length octets; longer forms of a length than needed are BER too.
 *
 * @returns Undefined when the bytes end before it does; it has at most 10 bytes.
 * @throws LegacyError `malformed`
 */
export function readBerHeader(bytes: Uint8Array, at: number): BerHeader | undefined {
  const identifier = bytes[at]
  const first = bytes[at + 1]
  if (identifier === undefined || first === undefined) return undefined
  if ((identifier & 0x1f) === 0x1f) throw malformed('an ASN.1 tag number above 30')
  if (first < 0x80) return { identifier, headerBytes: 2, length: first }
  if (first === 0x80) {
    if ((identifier & berConstructed) === 0) throw malformed('a primitive ASN.1 type of indefinite length')
    return { identifier, headerBytes: 2, length: undefined }
  }
  const count = first - 0x80
  if (count > maxLengthBytes) throw malformed('an ASN.1 length of more than 8 bytes')
  if (at + 2 + count > bytes.length) return undefined
  let length = 0
  for (let i = 0; i < count; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0)
  if (!Number.isSafeInteger(length)) throw malformed('an ASN.1 length beyond 2^53')
  return { identifier, headerBytes: 2 + count, length }
}

/** True for the end-of-contents octets. */
export function isEndOfContents({ identifier, length }: BerHeader): boolean {
  return identifier === 0 && length === 0
}

/** Walks through elements, from front to end. The bytes may be the beginning of something longer. */
export class BerCursor {
  readonly #bytes: Uint8Array
  /** Where the elements end that are open, the innermost last; undefined: indefinite. */
  readonly #ends: (number | undefined)[] = []
  #at = 0

  /** @param bytes Borrowed. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Offset of the next element. */
  get at(): number {
    return this.#at
  }

  /** Bytes from here to the end of the innermost open element of definite length, cut off or not. */
  get room(): number {
    return this.#limit() - this.#at
  }

  /**
   * Goes on with other bytes, which follow on what was read elsewhere.
   *
   * @param skipped Bytes that were read elsewhere.
   */
  continueWith(bytes: Uint8Array, skipped: number): BerCursor {
    const next = new BerCursor(bytes)
    const passed = this.#at + skipped
    next.#ends.push(...this.#ends.map((end) => (end === undefined ? undefined : end - passed)))
    return next
  }

  /** Identifier of the next element in the open one, undefined at its end. */
  next(): number | undefined {
    const end = this.#ends.at(-1)
    if (this.#ends.length === 0 ? this.#at === this.#bytes.length : this.#at === end) return undefined
    const header = this.#header()
    return end === undefined && this.#ends.length > 0 && isEndOfContents(header)
      ? undefined
      : header.identifier
  }

  /** Opens an element that holds others. */
  enter(identifier: number, what: string): void {
    this.#expect(identifier, what)
    const { headerBytes, length } = this.#header()
    if (this.#ends.length >= maxBerDepth) throw malformed('ASN.1 elements too deep inside each other')
    this.#at += headerBytes
    this.#ends.push(length === undefined ? undefined : this.#at + length)
  }

  /** Closes the innermost open element, of which nothing may be left. */
  leave(what: string): void {
    if (this.next() !== undefined) throw malformed(`more in the ${what} than belongs there`)
    if (this.#ends.pop() === undefined) this.#at += 2
  }

  /** The content of an element that holds no others. */
  primitive(identifier: number, what: string): Uint8Array {
    this.#expect(identifier, what)
    const { headerBytes } = this.#header()
    return this.#take().subarray(headerBytes)
  }

  /** The next element with its header, whatever it is. */
  element(what: string): Uint8Array {
    if (this.next() === undefined) throw malformed(`the ${what} is missing`)
    return this.#take()
  }

  /** Refuses bytes after the outermost element. */
  finish(): void {
    if (this.#at !== this.#bytes.length) throw malformed('bytes after its end')
  }

  #expect(identifier: number, what: string): void {
    if (this.next() !== identifier) throw malformed(`the ${what} is missing, or of another type`)
  }

  #header(): BerHeader {
    const header = readBerHeader(this.#bytes, this.#at)
    if (header === undefined) throw cut()
    if (header.headerBytes + (header.length ?? 0) > this.room)
      throw malformed('an ASN.1 length beyond its surroundings')
    return header
  }

  #limit(): number {
    return this.#ends.findLast((end) => end !== undefined) ?? Infinity
  }

  /** Elements of definite length are passed over as they are; of the others each member is looked at. */
  #take(): Uint8Array {
    const start = this.#at
    let depth = 0
    do {
      const header = this.#header()
      this.#at += header.headerBytes + (header.length ?? 0)
      if (this.#at > this.#bytes.length) throw cut()
      if (header.length === undefined) depth++
      else if (depth > 0 && isEndOfContents(header)) depth--
      if (depth + this.#ends.length > maxBerDepth)
        throw malformed('ASN.1 elements too deep inside each other')
    } while (depth > 0)
    return this.#bytes.subarray(start, this.#at)
  }
}

function cut() {
  return malformed('it is cut off')
}

/** Dotted decimal form, as `1.2.840.113549.1.7.3` (X.690 §8.19). Only for content of at most 32 bytes. */
export function objectIdText(content: Uint8Array): string {
  const arcs: number[] = []
  let arc = 0
  let isOpen = false
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f)
    isOpen = byte >= 0x80
    if (isOpen) continue
    if (arcs.length > 0) arcs.push(arc)
    else arcs.push(Math.min(Math.floor(arc / 40), 2), arc - 40 * Math.min(Math.floor(arc / 40), 2))
    arc = 0
  }
  if (isOpen || arcs.length === 0 || content.length > 32 || !arcs.every(Number.isSafeInteger)) {
    throw malformed('an object identifier that is none')
  }
  return arcs.join('.')
}

/** A non-negative INTEGER of at most 32 bits. */
export function smallInteger(content: Uint8Array, what: string): number {
  if (content.length === 0 || content.length > 4 || (content[0] ?? 0) >= 0x80)
    throw malformed(`the ${what} is out of range`)
  return content.reduce((value, byte) => value * 256 + byte, 0)
}
