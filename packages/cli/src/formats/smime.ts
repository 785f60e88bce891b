/**
 * The clothes in which CMS travels: PEM (RFC 7468; gpgsm calls it an encrypted message), S/MIME headers (RFC 8551 §3), bare base64, or none. Taken off piece by piece,
 * and strictly: what is no base64 is refused, and so is what stands behind the end.
 */

import { decodeText } from './encodings.ts'
import { LegacyError, malformed } from './legacy-format.ts'

/** How the bytes of a message are dressed. */
export interface Armor {
  readonly encoding: 'binary' | 'base64'
  /** Where they begin. */
  readonly start: number
  /** What has to stand behind base64, but for white space; empty: nothing. */
  readonly end: string
}

/** Headers and the line that begins PEM have to be in so many bytes. */
const maxHeaderBytes = 16 * 1024

/** The last line of PEM, and empty ones after it. */
const maxTrailerChars = 1024

/**
 * @param head The first bytes.
 * @returns Undefined when the bytes are dressed in nothing that is known here. What is inside has to be looked at.
 * @throws LegacyError `unsupported` for S/MIME in another encoding.
 */
export function findArmor(head: Uint8Array): Armor | undefined {
  if (head[0] === 0x30) return { encoding: 'binary', start: 0, end: '' }
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, maxHeaderBytes)).toString(
    'latin1',
  )
  const pem = /^\s*-----BEGIN (CMS|PKCS7|PKCS #7|ENCRYPTED MESSAGE)-----\r?\n/.exec(text)
  if (pem !== null) return { encoding: 'base64', start: pem[0].length, end: `-----END ${pem[1] ?? ''}-----` }
  // A sequence begins with 0x30, whatever its length.
  if (/^\s*M[A-Za-z0-9+/]{3}/.test(text) && !/^[^\n]*[: -]/.test(text))
    return { encoding: 'base64', start: 0, end: '' }
  return findMime(text)
}

/** RFC 8551 §3.2: one part that is a CMS message, with other headers of a mail around it. */
function findMime(text: string): Armor | undefined {
  if (!/^[!-9;-~]+:/.test(text)) return undefined
  const blank = /\r?\n\r?\n/.exec(text)
  if (blank === null) return undefined
  const headers = text.slice(0, blank.index).replaceAll(/\r?\n[ \t]+/g, ' ')
  if (!/^content-type:\s*application\/(?:x-)?pkcs7-mime\b/im.test(headers)) return undefined
  const start = blank.index + blank[0].length
  const encoding = /^content-transfer-encoding:\s*([\w-]+)/im.exec(headers)?.[1]?.toLowerCase() ?? 'binary'
  if (encoding === 'base64') return { encoding, start, end: '' }
  if (['binary', '8bit', '7bit'].includes(encoding)) return { encoding: 'binary', start, end: '' }
  throw new LegacyError('unsupported', 'S/MIME in another encoding than base64 and binary is not read')
}

/** Takes the armour off. */
export class Unwrapper {
  readonly #armor: Armor
  /** Bytes still to be passed over. */
  #toSkip: number
  /** Fewer than four characters of base64. */
  #carry = ''
  #hasPadding = false
  /** What stands behind the base64. */
  #trailer: string | undefined

  constructor(armor: Armor) {
    this.#armor = armor
    this.#toSkip = armor.start
  }

  /** @throws LegacyError `malformed` */
  push(piece: Uint8Array): Uint8Array {
    const skipped = Math.min(this.#toSkip, piece.length)
    this.#toSkip -= skipped
    const rest = piece.subarray(skipped)
    if (this.#armor.encoding === 'binary') return rest
    let text = Buffer.from(rest.buffer, rest.byteOffset, rest.length).toString('latin1')
    if (this.#trailer === undefined && this.#armor.end !== '') {
      const dash = text.indexOf('-')
      if (dash >= 0) {
        this.#trailer = ''
        this.#addTrailer(text.slice(dash))
        text = text.slice(0, dash)
      }
    } else if (this.#trailer !== undefined) {
      this.#addTrailer(text)
      return new Uint8Array()
    }
    const all = this.#carry + text.replaceAll(/[\r\n\t ]+/g, '')
    const whole = all.length - (all.length % 4)
    this.#carry = all.slice(whole)
    return this.#decode(all.slice(0, whole))
  }

  /** @returns The last bytes. @throws LegacyError `malformed` when the end is missing or another one. */
  end(): Uint8Array {
    if ((this.#trailer ?? '').trim() !== this.#armor.end)
      throw malformed(`its last line is not ${this.#armor.end}`)
    // Padding that is missing altogether.
    return this.#decode(this.#carry)
  }

  #decode(text: string): Uint8Array {
    if (text === '') return new Uint8Array()
    const bytes = this.#hasPadding ? undefined : decodeText(text, 'base64')
    if (bytes === undefined) throw malformed('it is not base64')
    this.#hasPadding = text.endsWith('=')
    return bytes
  }

  #addTrailer(text: string): void {
    this.#trailer = (this.#trailer ?? '') + text
    if (this.#trailer.length > maxTrailerChars) throw malformed('text after its last line')
  }
}

/** Takes the armour off in one go. @throws LegacyError `malformed` */
export function unwrapArmor(bytes: Uint8Array, armor: Armor): Uint8Array {
  if (armor.encoding === 'binary') return bytes.subarray(armor.start)
  const unwrapper = new Unwrapper(armor)
  const most = unwrapper.push(bytes)
  const last = unwrapper.end()
  return last.length === 0 ? most : Buffer.concat([most, last])
}
