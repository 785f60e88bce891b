/** The three serialisations of JWE as one shape (RFC 7516 §7), read strictly; knows no cipher. */

import { isObject, JsonTextError, parseStrictObject } from '../json-text.ts'
import { LegacyError, malformed } from './legacy-format.ts'

export interface JweRecipient {
  /** `alg` */
  readonly algorithm: string
  /** `kid` */
  readonly keyId: string | undefined
  readonly encryptedKey: Buffer
}

export interface JweParts {
  readonly recipients: readonly [JweRecipient, ...JweRecipient[]]
  /** `enc` */
  readonly encryption: string
  readonly isCompressed: boolean
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
  /** What the tag covers besides the ciphertext (RFC 7516 §5.1, step 14). */
  readonly aad: Buffer
}

type Header = Readonly<Record<string, unknown>>

/** @throws LegacyError */
export function readCompact(text: string): JweParts {
  const [protectedText = '', encryptedKey = '', iv = '', ciphertext = '', tag = ''] = text.split('.')
  const header = protectedHeader(protectedText)
  checkHeader(header)
  return {
    recipients: [recipientOf(header, encryptedKey)],
    encryption: encryptionOf(header),
    isCompressed: isCompressed(header, header),
    iv: bytesOf(iv, 'iv'),
    ciphertext: bytesOf(ciphertext, 'ciphertext'),
    tag: bytesOf(tag, 'tag'),
    aad: Buffer.from(protectedText, 'latin1'),
  }
}

/** @throws LegacyError */
export function readJson(text: string): JweParts {
  const object = strictObject(text, 'it')
  const protectedText = textMember(object, 'protected') ?? ''
  const inProtected = protectedText === '' ? {} : protectedHeader(protectedText)
  const shared = join(inProtected, objectMember(object, 'unprotected'))
  const headers: Header[] = []
  const recipients = entriesOf(object).map((entry) => {
    const header = join(shared, objectMember(entry, 'header'))
    checkHeader(header)
    headers.push(header)
    return recipientOf(header, textMember(entry, 'encrypted_key') ?? '')
  })
  const [first, ...rest] = recipients
  const [header] = headers
  if (first === undefined || header === undefined) throw malformed('it has no recipients')
  const encryption = encryptionOf(header)
  if (headers.some((other) => other['enc'] !== encryption)) throw malformed('recipients differ in enc')
  const aad = textMember(object, 'aad')
  return {
    recipients: [first, ...rest],
    encryption,
    isCompressed: headers.some((other) => isCompressed(other, inProtected)),
    iv: bytesOf(textMember(object, 'iv') ?? '', 'iv'),
    ciphertext: bytesOf(textMember(object, 'ciphertext') ?? '', 'ciphertext'),
    tag: bytesOf(textMember(object, 'tag') ?? '', 'tag'),
    aad: Buffer.from(aad === undefined ? protectedText : `${protectedText}.${checkedText(aad)}`, 'latin1'),
  }
}

/** General serialisation has `recipients`, flattened one recipient in the object itself (§7.2.2). */
function entriesOf(object: Header): readonly Header[] {
  const { recipients } = object
  if (recipients === undefined) return [object]
  if (!Array.isArray(recipients)) throw malformed('recipients is no array')
  if ('header' in object || 'encrypted_key' in object) throw malformed('both general and flattened')
  const entries: readonly unknown[] = recipients
  return entries.map((entry) => {
    if (!isObject(entry)) throw malformed('a recipient is no object')
    return entry
  })
}

/** Header parameters of the three places must not meet (§7.2.1). */
function join(a: Header, b: Header): Header {
  for (const name of Object.keys(b)) {
    if (Object.hasOwn(a, name)) throw malformed('a header parameter stands in two places')
  }
  return { ...a, ...b }
}

function checkHeader(header: Header): void {
  if ('crit' in header) throw new LegacyError('unsupported', 'critical extensions (crit) are not read')
  if (typeof header['alg'] !== 'string') throw malformed('alg is missing')
}

function encryptionOf({ enc }: Header): string {
  if (typeof enc !== 'string') throw malformed('enc is missing')
  return enc
}

function isCompressed({ zip }: Header, inProtected: Header): boolean {
  if (zip === undefined) return false
  if (!('zip' in inProtected)) throw malformed('zip stands outside the protected header')
  if (zip !== 'DEF') throw new LegacyError('unsupported', 'compression other than DEF is not read')
  return true
}

function recipientOf(header: Header, encryptedKey: string): JweRecipient {
  const { alg, kid } = header
  if (typeof alg !== 'string') throw malformed('alg is missing')
  if (kid !== undefined && typeof kid !== 'string') throw malformed('kid is no string')
  return { algorithm: alg, keyId: kid, encryptedKey: bytesOf(encryptedKey, 'encrypted_key') }
}

function textMember(object: Header, name: string): string | undefined {
  const value = object[name]
  if (value !== undefined && typeof value !== 'string') throw malformed(`${name} is no string`)
  return value
}

function objectMember(object: Header, name: string): Header {
  const value = object[name] ?? {}
  if (!isObject(value)) throw malformed(`${name} is no object`)
  return value
}

function checkedText(text: string): string {
  bytesOf(text, 'aad')
  return text
}

/** base64url without padding, one spelling only (RFC 7515 §2). */
function bytesOf(text: string, name: string): Buffer {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) throw malformed(`${name} is not base64url`)
  return bytes
}

// A writer puts the same header in front of all it writes: reading it once is enough.
const headers = new Map<string, Header>()
const maxHeaders = 256

function protectedHeader(text: string): Header {
  const known = headers.get(text)
  if (known !== undefined) return known
  const bytes = bytesOf(text, 'the protected header')
  let json: string
  try {
    json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw malformed('the protected header is not UTF-8')
  }
  const header = Object.freeze(strictObject(json, 'the protected header'))
  if (headers.size >= maxHeaders) headers.clear()
  headers.set(text, header)
  return header
}

function strictObject(text: string, what: string): Header {
  try {
    return parseStrictObject(text)
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error
    throw malformed(`${what}: ${error.message}`)
  }
}
