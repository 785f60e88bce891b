/**
 * ASCII armor, as OpenPGP (RFC 9580 §6) and age have it: base64 between two lines of dashes, undone while it is read. The
 * checksum of OpenPGP is skipped, as §6.1 asks for: what it would tell, the encryption tells.
 */

import { decodeText } from './encodings.ts'
import { malformed } from './legacy-format.ts'

export type ArmorLabel = 'PGP MESSAGE' | 'AGE ENCRYPTED FILE'

/** More than any line of armor, and than any header in front of it. */
const maxLineChars = 64 * 1024

/** True when text or bytes begin with an armor of that label, white space aside. */
export function isArmored(start: string | Uint8Array, label: ArmorLabel): boolean {
  const text =
    typeof start === 'string' ? start.slice(0, 256) : Buffer.from(start.subarray(0, 256)).toString('latin1')
  return text.trimStart().startsWith(`-----BEGIN ${label}-----`)
}

/** Gives the bytes of an armor piece by piece. */
export class ArmorReader {
  readonly #label: ArmorLabel
  #place: 'front' | 'headers' | 'body' | 'checksum' | 'behind' = 'front'
  /** What has no line end yet. */
  #line = ''
  /** Base64 that does not fill four characters yet. */
  #rest = ''

  constructor(label: ArmorLabel) {
    this.#label = label
  }

  /**
   * @returns What could be decoded so far.
   * @throws LegacyError `malformed`
   */
  push(piece: Uint8Array): Uint8Array {
    const text = this.#line + Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('latin1')
    const end = text.lastIndexOf('\n') + 1
    this.#line = text.slice(end)
    if (this.#line.length > maxLineChars) throw malformed('a line of the armor is too long')
    return this.#read(text.slice(0, end))
  }

  /**
   * @returns The last bytes.
   * @throws LegacyError `malformed`
   */
  end(): Uint8Array {
    const last = this.#read(`${this.#line}\n`)
    this.#line = ''
    if (this.#place !== 'behind') throw malformed('its armor is cut off')
    return last
  }

  #read(text: string): Uint8Array {
    // Almost all of an armor is this, and taking it line by line would cost more than decrypting it.
    if (this.#place === 'body' && /^[A-Za-z0-9+/\r\n]*$/.test(text)) return this.#decode(text)
    const pieces = text.split('\n').map((line) => this.#readLine(line.trimEnd()))
    return Buffer.concat(pieces)
  }

  #readLine(line: string): Uint8Array {
    if (this.#place === 'body') return this.#readBody(line)
    if (this.#place === 'checksum' && line !== '') return this.#finish(line)
    if (this.#place === 'behind' && line !== '') throw malformed('something is behind its armor')
    if (this.#place === 'headers') {
      if (line === '') this.#place = 'body'
      else if (!/^[\w-]+:/.test(line)) throw malformed('a header of its armor is none')
    }
    if (this.#place === 'front' && line !== '') {
      if (line.trimStart() !== `-----BEGIN ${this.#label}-----`)
        throw malformed('something is in front of its armor')
      this.#place = this.#label === 'PGP MESSAGE' ? 'headers' : 'body'
    }
    return new Uint8Array()
  }

  #readBody(line: string): Uint8Array {
    if (line.startsWith('-')) return this.#finish(line)
    if (this.#label !== 'PGP MESSAGE' || !line.startsWith('=')) return this.#decode(line)
    this.#place = 'checksum'
    return new Uint8Array()
  }

  #finish(line: string): Uint8Array {
    if (line !== `-----END ${this.#label}-----`) throw malformed('its armor does not end as it began')
    this.#place = 'behind'
    return base64(this.#rest)
  }

  #decode(text: string): Uint8Array {
    const whole = this.#rest + text.replaceAll(/[\r\n]/g, '')
    // Padding ends it: kept until the end, where it is decoded with what it pads.
    const usable = whole.length - (whole.endsWith('=') ? 4 : 0)
    const end = Math.max(0, usable - (usable % 4))
    this.#rest = whole.slice(end)
    if (this.#rest.length > 8) throw malformed('its armor is not base64')
    return base64(whole.slice(0, end))
  }
}

/** The same for what is in memory as a whole. */
export function readArmor(bytes: Uint8Array, label: ArmorLabel): Uint8Array {
  const reader = new ArmorReader(label)
  return Buffer.concat([reader.push(bytes), reader.end()])
}

/** The same for a stream. */
export async function* streamArmor(
  source: AsyncIterable<Uint8Array>,
  label: ArmorLabel,
): AsyncGenerator<Uint8Array, void, void> {
  const reader = new ArmorReader(label)
  for await (const piece of source) {
    const bytes = reader.push(piece)
    if (bytes.length > 0) yield bytes
  }
  const last = reader.end()
  if (last.length > 0) yield last
}

function base64(text: string): Uint8Array {
  const bytes = decodeText(text, 'base64')
  if (bytes === undefined) throw malformed('its armor is not base64')
  return bytes
}
