/**
 * The session key of an OpenPGP message (RFC 9580 §5.1.3): unwrapped by the RSA keys of the run, in whose keeping they stay,
 * be it in a hardware module.
 */

import { LegacyError } from './legacy-format.ts'
import type { PrivateKey, PrivateKeys } from './legacy-format.ts'
import { isRsa, recipientAlgorithm } from './openpgp-message.ts'
import type { PgpMessage, PgpRecipient } from './openpgp-message.ts'

export interface SessionKey {
  /** Number of the cipher (§9.3). */
  readonly cipher: number
  /** Wiped by who takes it. */
  readonly key: Uint8Array
}

interface Cipher {
  readonly name: string
  readonly keyBytes: number
  /** Of node:crypto, for CFB. */
  readonly nodeName?: string
  /** Of the library `openpgp`. Neither of the two: named, but not read. */
  readonly libraryName?: 'aes128' | 'aes192' | 'aes256' | 'blowfish' | 'cast5' | 'tripledes' | 'twofish'
}

/** RFC 9580 §9.3, with the names that gpg gives. */
export const ciphers: Readonly<Record<number, Cipher>> = {
  1: { name: 'IDEA', keyBytes: 16 },
  2: { name: '3DES', keyBytes: 24, nodeName: 'des-ede3-cfb', libraryName: 'tripledes' },
  3: { name: 'CAST5', keyBytes: 16, libraryName: 'cast5' },
  4: { name: 'BLOWFISH', keyBytes: 16, libraryName: 'blowfish' },
  7: { name: 'AES', keyBytes: 16, nodeName: 'aes-128-cfb', libraryName: 'aes128' },
  8: { name: 'AES192', keyBytes: 24, nodeName: 'aes-192-cfb', libraryName: 'aes192' },
  9: { name: 'AES256', keyBytes: 32, nodeName: 'aes-256-cfb', libraryName: 'aes256' },
  10: { name: 'TWOFISH', keyBytes: 32, libraryName: 'twofish' },
  11: { name: 'CAMELLIA128', keyBytes: 16, nodeName: 'camellia-128-cfb' },
  12: { name: 'CAMELLIA192', keyBytes: 24, nodeName: 'camellia-192-cfb' },
  13: { name: 'CAMELLIA256', keyBytes: 32, nodeName: 'camellia-256-cfb' },
}

/**
 * The session keys that come out as such: a wrong RSA key gives random bytes, and their checksum lets one in some millions
 * pass. So a body with an integrity check is tried with each, and one without must have no choice.
 *
 * @throws LegacyError `unsupported`, `no_private_key`, `unauthenticated`
 */
export function* unwrapSessionKeys(
  message: PgpMessage,
  keys: PrivateKeys,
): Generator<SessionKey, void, void> {
  const recipients = message.recipients.filter(isRsa)
  if (recipients.length === 0) throw notForRsa(message)
  const pairs = recipients.flatMap((recipient) =>
    keys.candidates(recipient.keyId).map((key) => ({ recipient, key })),
  )
  if (pairs.length === 0) throw noPrivateKey(recipients)
  if (pairs.length > 1 && message.container === 'sed') {
    throw new LegacyError(
      'unauthenticated',
      'several private keys could be meant, and nothing would tell the wrong one: give each its key-ids',
    )
  }
  for (const { recipient, key } of pairs) {
    const sessionKey = unwrap(recipient, key, message.cipher)
    if (sessionKey !== undefined) yield sessionKey
  }
}

function unwrap(
  { version, wrapped }: PgpRecipient,
  key: PrivateKey,
  bodyCipher: number | undefined,
): SessionKey | undefined {
  if (wrapped.length > key.modulusBytes) return undefined
  // Numbers are written without zeros in front.
  const padded = new Uint8Array(key.modulusBytes)
  padded.set(wrapped, key.modulusBytes - wrapped.length)
  const unwrapped = key.unwrapPkcs1(padded)
  if (unwrapped === undefined) return undefined
  try {
    return readSessionKey(version, unwrapped, bodyCipher)
  } finally {
    unwrapped.fill(0)
  }
}

/** Its cipher in version 3, the key, and the sum of the key's bytes modulo 65,536. */
function readSessionKey(
  version: 3 | 6,
  bytes: Uint8Array,
  bodyCipher: number | undefined,
): SessionKey | undefined {
  const cipher = version === 3 ? bytes[0] : bodyCipher
  if (cipher === undefined || (bodyCipher !== undefined && cipher !== bodyCipher)) return undefined
  const key = bytes.subarray(version === 3 ? 1 : 0, -2)
  if (key.length !== ciphers[cipher]?.keyBytes) return undefined
  const [high = 0, low = 0] = bytes.subarray(-2)
  const sum = key.reduce((total, byte) => total + byte, 0)
  return (sum & 0xffff) === ((high << 8) | low) ? { cipher, key: Uint8Array.from(key) } : undefined
}

function notForRsa({ recipients, hasPassphrase }: PgpMessage): LegacyError {
  const kinds = [...new Set(recipients.map(recipientAlgorithm))].slice(0, 4)
  const what = kinds.length > 0 ? `it is for ${kinds.join(', ')}` : 'a passphrase alone protects it'
  return new LegacyError('unsupported', hasPassphrase || kinds.length > 0 ? `${what}, not for RSA` : what)
}

function noPrivateKey(recipients: readonly PgpRecipient[]): LegacyError {
  const isNamed = recipients.some(({ keyId }) => keyId !== undefined)
  return new LegacyError(
    'no_private_key',
    isNamed ? 'no private key has its key id' : 'no private key was given',
  )
}
