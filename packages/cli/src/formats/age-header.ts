/** The header of an age file (C2SP age.md, "Header"), read strictly; knows no key. */

import { decodeText } from './encodings.ts'
import { malformed } from './legacy-format.ts'

/** One recipient. */
export interface AgeStanza {
  /** `ssh-rsa`, `X25519`, `scrypt`, … */
  readonly type: string
  readonly args: readonly string[]
  readonly body: Uint8Array
}

export interface AgeHeader {
  readonly stanzas: readonly AgeStanza[]
  /** What the MAC is of: everything up to the three dashes. */
  readonly covered: Uint8Array
  /** 32 bytes. */
  readonly mac: Uint8Array
  /** Where the payload begins. */
  readonly end: number
}

const intro = 'age-encryption.org/v1'

/** True when bytes begin with the first line, any version of it. */
export function isAgeFile(start: Uint8Array): boolean {
  return /^age-encryption\.org\/v\d+\n/.test(Buffer.from(start.subarray(0, 40)).toString('latin1'))
}

/**
 * @param start The beginning of the file, at least to the end of the header.
 * @throws LegacyError `malformed`
 */
export function readAgeHeader(start: Uint8Array): AgeHeader {
  const lines = new Lines(start)
  if (lines.next() !== intro) throw malformed('a version of age other than v1')
  const stanzas: AgeStanza[] = []
  for (;;) {
    const before = lines.at
    const line = lines.next()
    if (line.startsWith('--- ')) {
      const mac = rawBase64(line.slice(4))
      if (mac?.length !== 32) throw malformed('the MAC of its header is no 32 bytes')
      if (stanzas.length === 0) throw malformed('it has no recipients')
      return { stanzas, covered: start.subarray(0, before + 3), mac, end: lines.at }
    }
    stanzas.push(readStanza(line, lines))
  }
}

function readStanza(line: string, lines: Lines): AgeStanza {
  const [arrow, type, ...args] = line.split(' ')
  if (arrow !== '->' || type === undefined || [type, ...args].some((one) => !/^[!-~]+$/.test(one))) {
    throw malformed('a line of its header is none')
  }
  let text = ''
  for (;;) {
    const more = lines.next()
    if (more.length > 64) throw malformed('a line of its header is too long')
    text += more
    // The last line is shorter than 64 characters, and empty if need be.
    if (more.length < 64) break
  }
  const body = rawBase64(text)
  if (body === undefined) throw malformed('a recipient is not base64')
  return { type, args, body }
}

class Lines {
  readonly #bytes: Buffer
  at = 0

  constructor({ buffer, byteOffset, length }: Uint8Array) {
    this.#bytes = Buffer.from(buffer, byteOffset, length)
  }

  next(): string {
    const end = this.#bytes.indexOf(0x0a, this.at)
    if (end < 0) throw malformed('its header is cut off')
    const line = this.#bytes.toString('latin1', this.at, end)
    this.at = end + 1
    return line
  }
}

/** Without padding, as all base64 of the header is. */
function rawBase64(text: string): Uint8Array | undefined {
  return text.includes('=') ? undefined : decodeText(text, 'base64')
}
