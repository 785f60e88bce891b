/** Packet headers of OpenPGP (RFC 9580 §4.2), both of their forms. */

import { malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'

export interface PacketHeader {
  readonly tag: number
  /** Where its body begins, counted from the place that was read. */
  readonly headerBytes: number
  /**
   * Bytes of its body, or of the body's first part (§4.2.1.4). Undefined: it ends where the message does (§4.2.2).
   */
  readonly bodyBytes: number | undefined
  readonly isPartial: boolean
}

/** @returns Undefined when these bytes begin no packet, or not all of its header is there. */
export function readPacketHeader(bytes: Uint8Array, at = 0): PacketHeader | undefined {
  const [first = 0, a = 0, b = 0, c = 0, d = 0, e = 0] = bytes.subarray(at, at + 6)
  if (first < 0x80) return undefined
  const header = first < 0xc0 ? oldHeader(first, a, b, c, d) : newHeader(first, a, b, c, d, e)
  return header === undefined || bytes.length - at < header.headerBytes ? undefined : header
}

function oldHeader(first: number, a: number, b: number, c: number, d: number): PacketHeader {
  const tag = (first >> 2) & 0x0f
  const lengthBytes = [1, 2, 4, 0][first & 3] ?? 0
  const long = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  const bodyBytes = [undefined, a, (a << 8) | b, undefined, long][lengthBytes]
  return { tag, headerBytes: 1 + lengthBytes, bodyBytes, isPartial: false }
}

function newHeader(first: number, ...length: [number, number, number, number, number]): PacketHeader {
  return { tag: first & 0x3f, ...readLength(length) }
}

interface Length {
  readonly headerBytes: number
  readonly bodyBytes: number
  readonly isPartial: boolean
}

/** §4.2.1. Of a packet's first part the tag's byte counts too. */
export function readLength([a, b, c, d, e]: [number, number, number, number, number]): Length {
  if (a < 192) return { headerBytes: 2, bodyBytes: a, isPartial: false }
  if (a < 224) return { headerBytes: 3, bodyBytes: ((a - 192) << 8) + b + 192, isPartial: false }
  if (a < 255) return { headerBytes: 2, bodyBytes: 2 ** (a & 0x1f), isPartial: true }
  return { headerBytes: 6, bodyBytes: ((b << 24) | (c << 16) | (d << 8) | e) >>> 0, isPartial: false }
}

/**
 * The packet at some place, which must be the last.
 *
 * @throws LegacyError `malformed` when it is cut, or something is behind it; `limit_exceeded`
 */
export function onlyPacket(bytes: Uint8Array, at: number): Uint8Array {
  const end = packetEnd(bytes, at)
  if (end !== bytes.length) throw malformed('something is behind its encrypted data')
  // Tags of AEAD in small chunks are a quarter more at most.
  if (end - at > maxPlaintextBytes * 1.5) throw tooLarge()
  return bytes.subarray(at, end)
}

/**
 * Where the packet at some place ends.
 *
 * @throws LegacyError `malformed` when the bytes end before it does.
 */
function packetEnd(bytes: Uint8Array, at: number): number {
  const header = readPacketHeader(bytes, at)
  if (header === undefined) throw malformed('it is cut off')
  if (header.bodyBytes === undefined) return bytes.length
  let end = at + header.headerBytes + header.bodyBytes
  let { isPartial } = header
  while (isPartial && end < bytes.length) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0] = bytes.subarray(end, end + 5)
    const part = readLength([a, b, c, d, e])
    end += part.headerBytes - 1 + part.bodyBytes
    isPartial = part.isPartial
  }
  if (isPartial || end > bytes.length) throw malformed('it is cut off')
  return end
}
