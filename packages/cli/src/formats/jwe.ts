/**
 * JSON Web Encryption (RFC 7516): compact, flattened and general JSON, keys wrapped with RSA. A reader of our
 * own because old data has what libraries refuse, RSA1_5 and RSA below 2,048 bits above all, and because it must say by name
 * what it cannot read.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'

import { cbcIvBytes, gcmIvBytes, gcmTagBytes, openCbc, openGcm } from './aes.ts'
import { readCompact, readJson } from './jwe-syntax.ts'
import type { JweParts, JweRecipient } from './jwe-syntax.ts'
import { cannotOpen, LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue, OaepHash, PrivateKey, PrivateKeys } from './legacy-format.ts'

type Unwrap = (key: PrivateKey, wrapped: Uint8Array) => Uint8Array | undefined

/** RFC 7518 §4.2 and §4.3; the SHA-384 and SHA-512 variants are of the IANA registry. MGF1 uses the same hash. */
const unwraps: Readonly<Record<string, Unwrap>> = {
  RSA1_5: (key, wrapped) => key.unwrapPkcs1(wrapped),
  'RSA-OAEP': oaep('sha1'),
  'RSA-OAEP-256': oaep('sha256'),
  'RSA-OAEP-384': oaep('sha384'),
  'RSA-OAEP-512': oaep('sha512'),
}

function oaep(hash: OaepHash): Unwrap {
  return (key, wrapped) => key.unwrapOaep(wrapped, { hash, mgf1Hash: hash, label: new Uint8Array() })
}

interface ContentEncryption {
  readonly keyBytes: number
  /** RFC 7518 §5.2: MAC key in front, the tag is half of the MAC. Absent for GCM. */
  readonly hmac?: 'sha256' | 'sha384' | 'sha512'
}

/** RFC 7518 §5.1. */
const contentEncryptions: Readonly<Record<string, ContentEncryption>> = {
  A128GCM: { keyBytes: 16 },
  A192GCM: { keyBytes: 24 },
  A256GCM: { keyBytes: 32 },
  'A128CBC-HS256': { keyBytes: 32, hmac: 'sha256' },
  'A192CBC-HS384': { keyBytes: 48, hmac: 'sha384' },
  'A256CBC-HS512': { keyBytes: 64, hmac: 'sha512' },
}

/** The format; reads the first cell. */
export const jwe: LegacyFormat = {
  name: 'jwe',
  recognize([cell]) {
    const text = typeof cell === 'string' ? cell : cell instanceof Uint8Array ? asText(cell) : undefined
    if (text === undefined) return undefined
    if (isCompact(text)) return valueOf(() => readCompact(text))
    return looksLikeJson(text) ? valueOf(() => readJson(text)) : undefined
  },
}

/** Five parts, the first of which begins with `{"`: a JWS has three. */
function isCompact(text: string): boolean {
  if (!text.startsWith('eyJ')) return false
  let dots = 0
  for (let at = text.indexOf('.'); at >= 0; at = text.indexOf('.', at + 1)) dots++
  return dots === 4
}

/** An object with a ciphertext and a header of JOSE's; other layouts in JSON have no such header. */
function looksLikeJson(text: string): boolean {
  return (
    /^\s*\{/.test(text) &&
    text.includes('"ciphertext"') &&
    /"(?:protected|unprotected|header|recipients)"/.test(text)
  )
}

function asText(bytes: Uint8Array): string | undefined {
  return bytes[0] === 0x65 || bytes[0] === 0x7b ? new TextDecoder().decode(bytes) : undefined
}

function valueOf(read: () => JweParts): LegacyValue {
  let parts: JweParts
  try {
    parts = read()
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return broken(error)
  }
  const recipient =
    parts.recipients.find(({ algorithm }) => Object.hasOwn(unwraps, algorithm)) ?? parts.recipients[0]
  return {
    keyId: recipient.keyId,
    wrapping: shown(recipient.algorithm),
    body: shown(parts.encryption) + (parts.isCompressed ? ', compressed' : ''),
    isAuthenticated: true,
    open: (keys) => open(parts, keys),
  }
}

function broken(error: LegacyError): LegacyValue {
  return {
    keyId: undefined,
    wrapping: 'unreadable',
    body: 'unreadable',
    isAuthenticated: true,
    open() {
      throw error
    },
  }
}

/** Names come from the data: only what looks like a name is repeated. */
function shown(name: string): string {
  return /^[A-Za-z0-9+._-]{1,32}$/.test(name) ? name : 'unknown'
}

function open(parts: JweParts, keys: PrivateKeys): Uint8Array {
  const encryption = contentEncryptions[parts.encryption]
  if (encryption === undefined) throw unsupported('content encryption', parts.encryption)
  const recipients = parts.recipients.filter(({ algorithm }) => Object.hasOwn(unwraps, algorithm))
  if (recipients.length === 0) throw unsupported('key encryption', parts.recipients[0].algorithm)
  if (parts.ciphertext.length > maxPlaintextBytes + 16) throw tooLarge()

  let isOurs = false
  for (const recipient of recipients) {
    for (const key of keys.candidates(recipient.keyId)) {
      isOurs = true
      // Trying the next key is safe only because every body of a JWE is authenticated.
      const dataKey = unwraps[recipient.algorithm]?.(key, recipient.encryptedKey)
      if (dataKey === undefined) continue
      const plaintext = openBody(parts, encryption, dataKey)
      dataKey.fill(0)
      if (plaintext !== undefined) return parts.isCompressed ? inflate(plaintext) : plaintext
    }
  }
  if (!isOurs) throw noPrivateKey(recipients)
  throw cannotOpen()
}

function openBody(
  { aad, iv, ciphertext, tag }: JweParts,
  { keyBytes, hmac }: ContentEncryption,
  dataKey: Uint8Array,
): Buffer | undefined {
  if (dataKey.length !== keyBytes) return undefined
  if (hmac === undefined) {
    if (iv.length !== gcmIvBytes) throw malformed('the initialization vector has not 12 bytes')
    if (tag.length !== gcmTagBytes) throw malformed('the authentication tag has not 16 bytes')
    return openGcm({ key: dataKey, iv, ciphertext, tag, aad })
  }
  // RFC 7518 §5.2.2.2
  const half = keyBytes / 2
  if (iv.length !== cbcIvBytes) throw malformed('the initialization vector has not 16 bytes')
  if (tag.length !== half) throw malformed(`the authentication tag has not ${half} bytes`)
  const aadBits = Buffer.alloc(8)
  aadBits.writeBigUInt64BE(BigInt(aad.length) * 8n)
  const mac = createHmac(hmac, dataKey.subarray(0, half)).update(aad).update(iv).update(ciphertext)
  const expected = mac.update(aadBits).digest().subarray(0, half)
  return timingSafeEqual(expected, tag) ? openCbc(dataKey.subarray(half), iv, ciphertext) : undefined
}

/** RFC 7516 §4.1.3, `DEF` (RFC 1951), with a bound: a few bytes can stand for gigabytes. */
function inflate(compressed: Buffer): Uint8Array {
  try {
    return inflateRawSync(compressed, { maxOutputLength: maxPlaintextBytes })
  } catch (error) {
    const isTooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    throw isTooLarge ? tooLarge() : malformed('the compressed plaintext does not inflate')
  } finally {
    compressed.fill(0)
  }
}

function unsupported(what: string, name: string): LegacyError {
  return new LegacyError('unsupported', `${what} ${shown(name)} is not read`)
}

function noPrivateKey(recipients: readonly JweRecipient[]): LegacyError {
  const named = recipients.some(({ keyId }) => keyId !== undefined)
  return new LegacyError(
    'no_private_key',
    named ? 'no private key has its key id' : 'no private key was given',
  )
}
