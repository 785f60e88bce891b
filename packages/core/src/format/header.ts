/** Header and stanzas: bytes to values and back, strict both ways (SPEC §5). Knows no key and no cipher. */

import { concat, lp16, readU16, toHex, u16, u8 } from '../bytes.ts'
import { malformed } from '../errors.ts'

export const keyIdBytes = 16
export const recipientIdBytes = 16
export const macBytes = 32
export const maxStanzas = 32
/** Header, key id to MAC. */
export const maxHeaderBytes = 65_536
/** Three ids of two bytes, and the recipient id: what every stanza begins with, also in suites to come. */
export const stanzaPrefixBytes: number = 6 + recipientIdBytes
/** What its two length bytes can say. */
export const maxStanzaBytes = 65_535

/** The three HPKE ids of a suite (SPEC §1). */
export interface SuiteIds {
  readonly kemId: number
  readonly kdfId: number
  readonly aeadId: number
}

/** One recipient's entry in a header (SPEC §5.1). */
export interface Stanza extends SuiteIds {
  /** 16 bytes. */
  readonly recipientId: Uint8Array
  /** Encapsulated key ‖ wrapped data key (48 bytes): 1,168 bytes in the default suite. */
  readonly payload: Uint8Array
}

export interface Header {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  /** In the writer's order. */
  readonly stanzas: readonly Stanza[]
  /** Everything before the MAC. */
  readonly authenticated: Uint8Array
  /** 32 bytes. */
  readonly mac: Uint8Array
  /** Length of the whole, MAC included. */
  readonly length: number
}

/** The length a stanza of a known suite has, without its two length bytes; `undefined` for another suite. */
export type StanzaLength = (ids: SuiteIds) => number | undefined

/** A stanza without its two length bytes (SPEC §5.1): 1,190 bytes in the default suite. Never throws. */
export function encodeStanza({ kemId, kdfId, aeadId, recipientId, payload }: Stanza): Uint8Array {
  return concat(u16(kemId), u16(kdfId), u16(aeadId), recipientId, payload)
}

/**
 * Reads a stanza without its two length bytes. The parts are views of `bytes`.
 *
 * @throws LongholdError `malformed` below 22 bytes, or when a known suite has another length.
 */
export function decodeStanza(bytes: Uint8Array, stanzaLength: StanzaLength): Stanza {
  if (bytes.length < stanzaPrefixBytes) throw malformed(`a stanza of ${bytes.length} bytes (SPEC §5)`)
  const ids = { kemId: readU16(bytes, 0), kdfId: readU16(bytes, 2), aeadId: readU16(bytes, 4) }
  // Checked before any key is touched: a stanza of another length could be crafted to open under many keys.
  const expected = stanzaLength(ids)
  if (expected !== undefined && bytes.length !== expected) {
    throw malformed(`a stanza of ${bytes.length} bytes where the suite has ${expected} (SPEC §5)`)
  }
  return {
    ...ids,
    recipientId: bytes.subarray(6, stanzaPrefixBytes),
    payload: bytes.subarray(stanzaPrefixBytes),
  }
}

/** Everything of a header before its MAC: key id, count, stanzas. */
export function encodeAuthenticated(keyId: Uint8Array, stanzas: readonly Stanza[]): Uint8Array {
  return concat(keyId, u8(stanzas.length), ...stanzas.map((stanza) => lp16(encodeStanza(stanza))))
}

/**
 * The length of the header at the start of `bytes`, from key id to MAC; `undefined` while too little of it is there.
 *
 * @throws LongholdError `malformed` as soon as it can be no header.
 */
export function measureHeader(bytes: Uint8Array): number | undefined {
  const count = bytes[keyIdBytes]
  if (count === undefined) return undefined
  checkCount(count)
  let at = keyIdBytes + 1
  for (let i = 0; i < count; i++) {
    if (at + 2 > bytes.length) return undefined
    at += 2 + readU16(bytes, at)
    checkHeaderLength(at + macBytes)
  }
  return at + macBytes
}

/**
 * Reads a header at the start of `bytes`: steps 2 to 5 of SPEC §5.3. The parts are views of `bytes`.
 *
 * @throws LongholdError `malformed`.
 */
export function decodeHeader(bytes: Uint8Array, stanzaLength: StanzaLength): Header {
  if (bytes.length < keyIdBytes + 1) throw malformed('the header is cut short')
  const count = bytes[keyIdBytes] ?? 0
  checkCount(count)

  const stanzas: Stanza[] = []
  const seen = new Set<string>()
  let at = keyIdBytes + 1
  for (let i = 0; i < count; i++) {
    if (at + 2 > bytes.length) throw malformed('the header is cut short')
    const end = at + 2 + readU16(bytes, at)
    if (end > bytes.length) throw malformed('the header is cut short')
    stanzas.push(decodeStanza(bytes.subarray(at + 2, end), stanzaLength))
    at = end
  }
  const length = at + macBytes
  if (length > bytes.length) throw malformed('the header is cut short')
  checkHeaderLength(length)
  for (const { recipientId } of stanzas) {
    const id = toHex(recipientId)
    if (seen.has(id)) throw malformed(`two stanzas for recipient ${id}`)
    seen.add(id)
  }
  return {
    keyId: bytes.subarray(0, keyIdBytes),
    stanzas,
    authenticated: bytes.subarray(0, at),
    mac: bytes.subarray(at, length),
    length,
  }
}

function checkCount(count: number): void {
  if (count < 1 || count > maxStanzas)
    throw malformed(`${count} stanzas, where 1 to ${maxStanzas} are allowed`)
}

function checkHeaderLength(length: number): void {
  if (length > maxHeaderBytes) {
    throw malformed(`a header of ${length} bytes, at most ${maxHeaderBytes} are allowed`)
  }
}
