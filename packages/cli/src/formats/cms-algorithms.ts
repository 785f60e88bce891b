/** The algorithms that CMS names (RFC 5652 §12.2, RFC 4055, RFC 3565, RFC 5084, RFC 3657), with their parameters. */

import {
  BerCursor,
  berContext,
  berConstructed,
  berInteger,
  berObjectIdentifier,
  berOctetString,
  berSequence,
  objectIdText,
  smallInteger,
} from './asn1.ts'
import { LegacyError, malformed } from './legacy-format.ts'
import type { OaepHash, OaepParameters } from './legacy-format.ts'

/** How a data key is wrapped with RSA. */
export interface RsaWrapping {
  readonly name: string
  /** Undefined: RSAES-PKCS1-v1_5. */
  readonly oaep: OaepParameters | undefined
}

/** How the content is encrypted. */
export interface ContentCipher {
  /** As node:crypto names it. */
  readonly name: string
  readonly mode: CipherMode
  readonly keyBytes: number
  readonly iv: Uint8Array
  /** 12 to 16; 0 with CBC. */
  readonly tagBytes: number
}

export type CipherMode = 'cbc' | 'gcm' | 'ccm'

/** What is named in the data and not read. */
export interface Unread {
  readonly name: string
  readonly error: LegacyError
}

const hashes: Readonly<Record<string, OaepHash>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

const rsaPkcs1 = '1.2.840.113549.1.1.1'
const rsaOaep = '1.2.840.113549.1.1.7'
const mgf1 = '1.2.840.113549.1.1.8'
const specifiedLabel = '1.2.840.113549.1.1.9'

interface CipherFacts {
  readonly name: string
  readonly mode: CipherMode
  readonly keyBytes: number
  readonly blockBytes: number
}

const aes = '2.16.840.1.101.3.4.1'
const camellia = '1.2.392.200011.61.1.1.1'

const ciphers: Readonly<Record<string, CipherFacts>> = {
  [`${aes}.2`]: { name: 'aes-128-cbc', mode: 'cbc', keyBytes: 16, blockBytes: 16 },
  [`${aes}.22`]: { name: 'aes-192-cbc', mode: 'cbc', keyBytes: 24, blockBytes: 16 },
  [`${aes}.42`]: { name: 'aes-256-cbc', mode: 'cbc', keyBytes: 32, blockBytes: 16 },
  [`${aes}.6`]: { name: 'aes-128-gcm', mode: 'gcm', keyBytes: 16, blockBytes: 16 },
  [`${aes}.26`]: { name: 'aes-192-gcm', mode: 'gcm', keyBytes: 24, blockBytes: 16 },
  [`${aes}.46`]: { name: 'aes-256-gcm', mode: 'gcm', keyBytes: 32, blockBytes: 16 },
  [`${aes}.7`]: { name: 'aes-128-ccm', mode: 'ccm', keyBytes: 16, blockBytes: 16 },
  [`${aes}.27`]: { name: 'aes-192-ccm', mode: 'ccm', keyBytes: 24, blockBytes: 16 },
  [`${aes}.47`]: { name: 'aes-256-ccm', mode: 'ccm', keyBytes: 32, blockBytes: 16 },
  '1.2.840.113549.3.7': { name: 'des-ede3-cbc', mode: 'cbc', keyBytes: 24, blockBytes: 8 },
  [`${camellia}.2`]: { name: 'camellia-128-cbc', mode: 'cbc', keyBytes: 16, blockBytes: 16 },
  [`${camellia}.3`]: { name: 'camellia-192-cbc', mode: 'cbc', keyBytes: 24, blockBytes: 16 },
  [`${camellia}.4`]: { name: 'camellia-256-cbc', mode: 'cbc', keyBytes: 32, blockBytes: 16 },
}

/** Met in old data, and named when it is refused. */
const unread: Readonly<Record<string, string>> = {
  '1.2.840.113549.3.2': 'RC2',
  '1.2.840.113549.3.4': 'RC4',
  '1.3.14.3.2.7': 'DES',
  '1.2.840.113549.1.9.16.3.18': 'ChaCha20-Poly1305',
  '1.2.840.113549.1.9.16.3.14': 'RSA-KEM',
}

/** @returns The algorithm, or what is known of one that is not read or whose parameters are broken. */
export function readWrapping(algorithm: Uint8Array): RsaWrapping | Unread {
  return orUnread(algorithm, 'key encryption', (id, parameters) => {
    if (id === rsaPkcs1) return { name: 'RSA PKCS #1 v1.5', oaep: undefined }
    if (id !== rsaOaep) return undefined
    const oaep = readOaep(parameters)
    const { hash, mgf1Hash, label } = oaep
    const differences = `${mgf1Hash === hash ? '' : `, MGF1 ${mgf1Hash}`}${label.length === 0 ? '' : ', label'}`
    return { name: `RSA-OAEP ${hash}${differences}`, oaep }
  })
}

/** @returns The algorithm, or what is known of one that is not read or whose parameters are broken. */
export function readContentCipher(algorithm: Uint8Array): ContentCipher | Unread {
  return orUnread(algorithm, 'content encryption', (id, parameters) => {
    const facts = Object.hasOwn(ciphers, id) ? ciphers[id] : undefined
    if (facts === undefined) return undefined
    const { name, mode, keyBytes, blockBytes } = facts
    if (mode !== 'cbc') return { name, mode, keyBytes, ...readAeadParameters(mode, parameters) }
    const iv = parameters.primitive(berOctetString, 'initialization vector')
    if (iv.length !== blockBytes) throw malformed(`the initialization vector has not ${blockBytes} bytes`)
    return { name, mode, keyBytes, iv, tagBytes: 0 }
  })
}

/** An AlgorithmIdentifier (RFC 5280 §4.1.1.2); faults are kept, so that the rest can be looked at. */
function orUnread<T extends object>(
  algorithm: Uint8Array,
  what: string,
  read: (id: string, parameters: BerCursor) => T | undefined,
): T | Unread {
  let name = 'unreadable'
  try {
    const cursor = new BerCursor(algorithm)
    cursor.enter(berSequence, `${what} algorithm`)
    const id = objectIdText(cursor.primitive(berObjectIdentifier, `${what} algorithm`))
    name = ciphers[id]?.name ?? unread[id] ?? id
    const known = read(id, cursor)
    if (known !== undefined) return known
    return { name, error: new LegacyError('unsupported', `${what} with ${name} is not read`) }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return { name, error }
  }
}

/** RSAES-OAEP-params (RFC 4055 §4.1): what is left out is SHA-1, but the parameters themselves must be there. */
function readOaep(cursor: BerCursor): OaepParameters {
  const what = 'OAEP parameters'
  let hash: OaepHash = 'sha1'
  let mgf1Hash: OaepHash = 'sha1'
  let label: Uint8Array = new Uint8Array()
  cursor.enter(berSequence, what)
  if (cursor.next() === (berContext(0) | berConstructed)) {
    cursor.enter(berContext(0) | berConstructed, what)
    hash = readHash(cursor)
    cursor.leave(what)
  }
  if (cursor.next() === (berContext(1) | berConstructed)) {
    cursor.enter(berContext(1) | berConstructed, what)
    cursor.enter(berSequence, what)
    const id = objectIdText(cursor.primitive(berObjectIdentifier, what))
    if (id !== mgf1) throw new LegacyError('unsupported', `mask generation with ${id} is not read`)
    mgf1Hash = readHash(cursor)
    cursor.leave(what)
    cursor.leave(what)
  }
  if (cursor.next() === (berContext(2) | berConstructed)) {
    cursor.enter(berContext(2) | berConstructed, what)
    cursor.enter(berSequence, what)
    const id = objectIdText(cursor.primitive(berObjectIdentifier, what))
    if (id !== specifiedLabel) throw new LegacyError('unsupported', `an OAEP label by ${id} is not read`)
    label = Uint8Array.from(cursor.primitive(berOctetString, what))
    cursor.leave(what)
    cursor.leave(what)
  }
  cursor.leave(what)
  cursor.leave(what)
  return { hash, mgf1Hash, label }
}

function readHash(cursor: BerCursor): OaepHash {
  cursor.enter(berSequence, 'hash algorithm')
  const id = objectIdText(cursor.primitive(berObjectIdentifier, 'hash algorithm'))
  const hash = Object.hasOwn(hashes, id) ? hashes[id] : undefined
  if (hash === undefined) throw new LegacyError('unsupported', `OAEP with the hash ${id} is not read`)
  // NULL, or nothing (RFC 4055 §2.1).
  if (cursor.next() !== undefined) cursor.element('hash parameters')
  cursor.leave('hash algorithm')
  return hash
}

/** GCMParameters and CCMParameters (RFC 5084 §3): a tag has 12 bytes where nothing is said. */
function readAeadParameters(mode: CipherMode, cursor: BerCursor): { iv: Uint8Array; tagBytes: number } {
  const what = 'cipher parameters'
  cursor.enter(berSequence, what)
  const iv = cursor.primitive(berOctetString, 'nonce')
  const [least, most] = mode === 'ccm' ? [7, 13] : [8, 64]
  if (iv.length < least || iv.length > most) throw malformed(`the nonce has not ${least} to ${most} bytes`)
  const tagBytes =
    cursor.next() === undefined ? 12 : smallInteger(cursor.primitive(berInteger, 'tag length'), 'tag length')
  cursor.leave(what)
  const isAllowed = tagBytes >= 4 && tagBytes <= 16 && (mode === 'gcm' || tagBytes % 2 === 0)
  if (!isAllowed) throw malformed(`a tag of ${tagBytes} bytes`)
  // A shorter one could be hit by chance among many values.
  if (tagBytes < 12)
    throw new LegacyError('unsupported', `a tag of ${tagBytes} bytes is not read, 12 are the least`)
  return { iv, tagBytes }
}
