/** EnvelopedData (RFC 5652 §6) and AuthEnvelopedData (RFC 5083 §2) in a ContentInfo, around the encrypted content. */

import {
  BerCursor,
  berConstructed,
  berContext,
  berInteger,
  berObjectIdentifier,
  berOctetString,
  berSequence,
  berSet,
  objectIdText,
  readBerHeader,
} from './asn1.ts'
import { readContentCipher, readWrapping } from './cms-algorithms.ts'
import type { ContentCipher, RsaWrapping, Unread } from './cms-algorithms.ts'
import { LegacyError, malformed } from './legacy-format.ts'

export type RecipientId =
  | { readonly kind: 'certificate'; readonly issuer: Uint8Array; readonly serial: Uint8Array }
  | { readonly kind: 'subject-key'; readonly identifier: Uint8Array }

/** KeyTransRecipientInfo (RFC 5652 §6.2.1). */
export interface KeyTransport {
  readonly id: RecipientId
  readonly wrapping: RsaWrapping | Unread
  readonly encryptedKey: Uint8Array
}

/** What stands before the encrypted content. */
export interface CmsMessage {
  /** AuthEnvelopedData: a tag follows the content. */
  readonly hasMac: boolean
  readonly recipients: readonly KeyTransport[]
  /** Recipients of other kinds than a certificate with an RSA key. */
  readonly otherRecipients: readonly string[]
  readonly cipher: ContentCipher | Unread
  /** At the encrypted content. */
  readonly cursor: BerCursor
}

/** What stands after the encrypted content. */
export interface CmsTail {
  readonly mac: Uint8Array | undefined
  /** What the tag covers besides: the attributes as a DER SET (RFC 5083 §2.2). Empty: none. */
  readonly aad: Uint8Array
}

/** `[0] IMPLICIT OCTET STRING` of EncryptedContentInfo. */
export const encryptedContentIdentifier = berContext(0)

/** Each of them may cost an RSA operation. */
const maxRecipients = 1000

const envelopedData = '1.2.840.113549.1.7.3'
const authEnvelopedData = '1.2.840.113549.1.9.16.1.23'
/** PKCS #7 version 1.5 (RFC 2315 §11); CMS has left it out. */
const signedAndEnvelopedData = '1.2.840.113549.1.7.4'

/** Whether bytes begin as a ContentInfo of one of the two; 40 bytes of it are enough. */
export function isCmsStart(bytes: Uint8Array): boolean {
  if (bytes[0] !== berSequence) return false
  try {
    const outer = readBerHeader(bytes, 0)
    const inner = outer === undefined ? undefined : readBerHeader(bytes, outer.headerBytes)
    if (outer === undefined || inner?.identifier !== berObjectIdentifier || inner.length === undefined)
      return false
    const start = outer.headerBytes + inner.headerBytes
    const id = bytes.subarray(start, start + inner.length)
    return id.length === inner.length && isEnveloped(objectIdText(id))
  } catch (error) {
    if (error instanceof LegacyError) return false
    throw error
  }
}

function isEnveloped(id: string): boolean {
  return [envelopedData, authEnvelopedData, signedAndEnvelopedData].includes(id)
}

/**
 * Reads up to the encrypted content.
 *
 * @param bytes The message or its beginning. Borrowed: the parts of the result lie in it.
 * @throws LegacyError `malformed`, also when what stands before the content is cut off.
 */
export function readCmsMessage(bytes: Uint8Array): CmsMessage {
  const cursor = new BerCursor(bytes)
  cursor.enter(berSequence, 'content info')
  const type = objectIdText(cursor.primitive(berObjectIdentifier, 'content type'))
  if (type === signedAndEnvelopedData) {
    throw new LegacyError('unsupported', 'SignedAndEnvelopedData is not read')
  }
  if (!isEnveloped(type)) throw malformed('no enveloped data')
  cursor.enter(berContext(0) | berConstructed, 'content')
  cursor.enter(berSequence, 'enveloped data')
  cursor.primitive(berInteger, 'version')
  // Certificates and revocation lists of whoever wrote it.
  if (cursor.next() === (berContext(0) | berConstructed)) cursor.element('originator info')
  const recipients: KeyTransport[] = []
  const otherRecipients: string[] = []
  cursor.enter(berSet, 'recipient infos')
  for (let kind = cursor.next(); kind !== undefined; kind = cursor.next()) {
    if (recipients.length + otherRecipients.length >= maxRecipients) {
      throw new LegacyError('limit_exceeded', `more than ${maxRecipients} recipients`)
    }
    if (kind === berSequence) recipients.push(readKeyTransport(cursor))
    else {
      cursor.element('recipient info')
      otherRecipients.push(recipientKinds[kind] ?? 'unknown')
    }
  }
  cursor.leave('recipient infos')
  cursor.enter(berSequence, 'encrypted content info')
  cursor.primitive(berObjectIdentifier, 'content type')
  const cipher = readContentCipher(cursor.element('content encryption algorithm'))
  if (cursor.next() === undefined) {
    throw new LegacyError('unsupported', 'the encrypted content is kept elsewhere')
  }
  return { hasMac: type === authEnvelopedData, recipients, otherRecipients, cipher, cursor }
}

/** RFC 5652 §6.2. */
const recipientKinds: Readonly<Record<number, string>> = {
  [berContext(1) | berConstructed]: 'key agreement',
  [berContext(2) | berConstructed]: 'key encryption key',
  [berContext(3) | berConstructed]: 'password',
}

function readKeyTransport(cursor: BerCursor): KeyTransport {
  const what = 'recipient info'
  cursor.enter(berSequence, what)
  cursor.primitive(berInteger, 'version')
  const id = readRecipientId(cursor)
  const wrapping = readWrapping(cursor.element('key encryption algorithm'))
  const encryptedKey = cursor.primitive(berOctetString, 'encrypted key')
  cursor.leave(what)
  return { id, wrapping, encryptedKey }
}

function readRecipientId(cursor: BerCursor): RecipientId {
  const what = 'recipient id'
  if (cursor.next() === berContext(0)) {
    return { kind: 'subject-key', identifier: cursor.primitive(berContext(0), what) }
  }
  cursor.enter(berSequence, what)
  const issuer = cursor.element('issuer')
  const serial = cursor.primitive(berInteger, 'serial number')
  cursor.leave(what)
  return { kind: 'certificate', issuer, serial }
}

/**
 * Reads what stands after the encrypted content, to the end.
 *
 * @param cursor Behind the content, over everything that follows.
 * @throws LegacyError `malformed`, also for bytes after the end.
 */
export function readCmsTail(hasMac: boolean, cursor: BerCursor): CmsTail {
  cursor.leave('encrypted content info')
  let mac: Uint8Array | undefined
  let aad: Uint8Array = new Uint8Array()
  if (hasMac) {
    if (cursor.next() === (berContext(1) | berConstructed))
      aad = asSet(cursor.element('authenticated attributes'))
    mac = cursor.primitive(berOctetString, 'authentication tag')
    if (cursor.next() === (berContext(2) | berConstructed)) cursor.element('unauthenticated attributes')
  } else if (cursor.next() === (berContext(1) | berConstructed)) cursor.element('unprotected attributes')
  cursor.leave('enveloped data')
  cursor.leave('content')
  cursor.leave('content info')
  cursor.finish()
  return { mac, aad }
}

/** The tag is made over the DER form, with the universal tag in the place of `[1]`. */
function asSet(attributes: Uint8Array): Uint8Array {
  if (attributes[1] === 0x80) {
    throw new LegacyError('unsupported', 'authenticated attributes of indefinite length are not read')
  }
  const set = Uint8Array.from(attributes)
  set[0] = berSet
  return set
}
