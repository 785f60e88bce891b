/** Encrypted messages of OpenPGP (RFC 9580 §10.3) up to the encrypted data: who can open it, and what kind of it it is. */

import { malformed } from './legacy-format.ts'
import { readPacketHeader } from './openpgp-packets.ts'

/** One public-key encrypted session key (RFC 9580 §5.1). */
export interface PgpRecipient {
  /** Of version 3 the session key says its cipher; of version 6 the encrypted data does. */
  readonly version: 3 | 6
  /** 16 digits in upper case, as gpg prints it; undefined when it was left out (`--throw-keyids`). */
  readonly keyId: string | undefined
  readonly algorithm: number
  /** RSA: the number, as long as it is. */
  readonly wrapped: Uint8Array
}

/**
 * - `sed`: CFB without an integrity check (§5.7)
 * - `seipd1`: CFB with an MDC (§5.13.1)
 * - `seipd2`: AEAD (§5.13.2)
 * - `aead`: AEAD of the draft that GnuPG writes from 2.3 on (packet 20)
 */
export type PgpContainer = 'sed' | 'seipd1' | 'seipd2' | 'aead'

export interface PgpMessage {
  readonly recipients: readonly PgpRecipient[]
  /** A passphrase opens it too. */
  readonly hasPassphrase: boolean
  readonly container: PgpContainer
  /** With AEAD, the cipher and the mode. */
  readonly cipher: number | undefined
  readonly mode: number | undefined
  /** Where the packet with the encrypted data begins. */
  readonly at: number
}

const tags = {
  publicKeySession: 1,
  symmetricSession: 3,
  sed: 9,
  marker: 10,
  seipd: 18,
  aead: 20,
  padding: 21,
}

/** RSA in its three uses (§9.1); keys of today are 1. */
const rsaAlgorithms = new Set([1, 2, 3])

export function isRsa({ algorithm }: Pick<PgpRecipient, 'algorithm'>): boolean {
  return rsaAlgorithms.has(algorithm)
}

/** Bytes of a session key's packet: RSA of 16,384 bits has 2,061. */
const maxSessionPacketBytes = 16 * 1024

/**
 * Whether bytes begin an encrypted message, by its first packet. Keys, signatures, and literal and compressed data do not.
 *
 * @param start As many bytes as there are, 4 KiB at most are looked at.
 */
export function isPgpMessage(start: Uint8Array): boolean {
  const header = readPacketHeader(start)
  if (header === undefined) return false
  const { tag, headerBytes, bodyBytes = 0 } = header
  const body = start.subarray(headerBytes, headerBytes + 32)
  const [version, second = 0, third = 0] = body
  if (tag === tags.marker) return Buffer.from(body.subarray(0, 3)).equals(marker) && bodyBytes === 3
  if (tag === tags.symmetricSession) {
    // Cipher, then how the key is made of the passphrase: §5.3.1.
    return version === 4 && bodyBytes < 64 && second >= 1 && second <= 13 && [0, 1, 3, 4].includes(third)
  }
  if (tag !== tags.publicKeySession || header.isPartial || bodyBytes > maxSessionPacketBytes) return false
  if (version === 6) return [0, 21, 33].includes(second) && bodyBytes > second + 3
  const algorithm = body[9]
  if (version !== 3 || algorithm === undefined) return false
  if (!rsaAlgorithms.has(algorithm)) return knownAlgorithms[algorithm] !== undefined
  const [high, low] = [body[10], body[11]]
  if (high === undefined || low === undefined) return true
  return bodyBytes === 12 + Math.ceil(((high << 8) | low) / 8)
}

const marker = Buffer.from('PGP')

/**
 * @param start The beginning of a message, at least to its encrypted data.
 * @throws LegacyError `malformed`
 */
export function readPgpMessage(start: Uint8Array): PgpMessage {
  const recipients: PgpRecipient[] = []
  let hasPassphrase = false
  for (let at = 0; ;) {
    const header = readPacketHeader(start, at)
    if (header === undefined)
      throw malformed(at < start.length ? 'a packet is none' : 'it has no encrypted data')
    const { tag, headerBytes, bodyBytes } = header
    if (tag === tags.sed || tag === tags.seipd || tag === tags.aead) {
      if (recipients.length === 0 && !hasPassphrase) throw malformed('it has no session key')
      return { recipients, hasPassphrase, at, ...readContainer(tag, start.subarray(at + headerBytes)) }
    }
    if (header.isPartial || bodyBytes === undefined || bodyBytes > maxSessionPacketBytes)
      throw malformed('a packet in front of its encrypted data is too long')
    const body = start.subarray(at + headerBytes, at + headerBytes + bodyBytes)
    if (body.length < bodyBytes) throw malformed('it is cut off')
    if (tag === tags.publicKeySession) recipients.push(...readRecipient(body))
    else if (tag === tags.symmetricSession) hasPassphrase = true
    else if (tag !== tags.marker && tag !== tags.padding)
      throw malformed('a packet that does not belong there')
    at += headerBytes + bodyBytes
  }
}

function readContainer(
  tag: number,
  [version, cipher, mode]: Uint8Array,
): Pick<PgpMessage, 'container' | 'cipher' | 'mode'> {
  if (tag === tags.sed) return { container: 'sed', cipher: undefined, mode: undefined }
  if (tag === tags.aead && version === 1) return { container: 'aead', cipher, mode }
  if (tag === tags.seipd && version === 1) return { container: 'seipd1', cipher: undefined, mode: undefined }
  if (tag === tags.seipd && version === 2) return { container: 'seipd2', cipher, mode }
  throw malformed('encrypted data of an unknown version')
}

/** None for a version that is not known: §5.1 asks to pass over it. */
function readRecipient(body: Uint8Array): PgpRecipient[] {
  const [version, idBytes = 0] = body
  if (version === 3) {
    const keyId = toHex(body.subarray(1, 9))
    const isWild = keyId === '0'.repeat(16)
    return [recipientOf(3, isWild ? undefined : keyId, body.subarray(9))]
  }
  if (version !== 6) return []
  // The version of the key and its fingerprint: the key id is its end in version 4, its beginning in version 6 (§5.5.4).
  const fingerprint = body.subarray(3, 2 + idBytes)
  const keyId = fingerprint.length === 20 ? fingerprint.subarray(12) : fingerprint.subarray(0, 8)
  return [recipientOf(6, idBytes === 0 ? undefined : toHex(keyId), body.subarray(2 + idBytes))]
}

function recipientOf(version: 3 | 6, keyId: string | undefined, rest: Uint8Array): PgpRecipient {
  const [algorithm, high = 0, low = 0] = rest
  if (algorithm === undefined) throw malformed('a session key is cut off')
  if (!rsaAlgorithms.has(algorithm)) return { version, keyId, algorithm, wrapped: new Uint8Array() }
  // A number of so many bits (§3.2).
  const wrapped = rest.subarray(3)
  if (wrapped.length !== Math.ceil(((high << 8) | low) / 8))
    throw malformed('a session key has another length')
  return { version, keyId, algorithm, wrapped }
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}

/** §9.1. */
const knownAlgorithms: Readonly<Record<number, string>> = {
  1: 'RSA',
  2: 'RSA',
  3: 'RSA',
  16: 'ElGamal',
  18: 'ECDH',
  20: 'ElGamal',
  25: 'X25519',
  26: 'X448',
}

/** As reports name it. */
export function recipientAlgorithm({ algorithm }: PgpRecipient): string {
  return rsaAlgorithms.has(algorithm) ? 'RSA PKCS #1 v1.5' : (knownAlgorithms[algorithm] ?? 'unknown')
}
