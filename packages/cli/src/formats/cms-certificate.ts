/** What CMS says of a certificate to name it, and the same of the certificates that a private key has. */

import { createHash } from 'node:crypto'

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
} from './asn1.ts'
import type { RecipientId } from './cms-message.ts'
import { LegacyError } from './legacy-format.ts'
import type { PrivateKey } from './legacy-format.ts'

/**
 * The key id that reports show and `key-ids` and file names are compared with: a subject key identifier in
 * hexadecimal, or `serial 3f01, issuer CN=Old CA, O=Example`, without an issuer when its name is empty.
 */
export function recipientName(id: RecipientId): string {
  if (id.kind === 'subject-key') return hex(id.identifier)
  const issuer = issuerText(id.issuer)
  return `serial ${serialText(id.serial)}${issuer === '' ? '' : `, issuer ${issuer}`}`
}

/** Whether a recipient is named by a certificate of the key or, by its identifier, the key itself. */
export function isNamed(key: PrivateKey, id: RecipientId): boolean {
  const { subjectKeys, certificates } = factsOf(key)
  return id.kind === 'subject-key' ? subjectKeys.has(hex(id.identifier)) : certificates.has(comparable(id))
}

interface KeyFacts {
  /** Subject key identifiers, in hexadecimal. */
  readonly subjectKeys: ReadonlySet<string>
  readonly certificates: ReadonlySet<string>
}

/** Keys live as long as the process, and values are many. */
const known = new WeakMap<PrivateKey, KeyFacts>()

function factsOf(key: PrivateKey): KeyFacts {
  const before = known.get(key)
  if (before !== undefined) return before
  const subjectKeys = new Set<string>()
  const certificates = new Set<string>()
  readEach([key.publicKey], (publicKey) => subjectKeys.add(hashedKey(publicKey)))
  readEach(key.certificates, (bytes) => {
    const { id, subjectKey } = readCertificate(bytes)
    certificates.add(comparable(id))
    if (subjectKey !== undefined) subjectKeys.add(hex(subjectKey))
  })
  const facts = { subjectKeys, certificates }
  known.set(key, facts)
  return facts
}

/** A certificate that cannot be read names nothing. */
function readEach(all: readonly Uint8Array[], read: (bytes: Uint8Array) => void): void {
  for (const bytes of all) {
    try {
      read(bytes)
    } catch (error) {
      if (!(error instanceof LegacyError)) throw error
    }
  }
}

/** RFC 5280 §4.2.1.2, method 1: SHA-1 of the BIT STRING without its count of unused bits. */
function hashedKey(subjectPublicKeyInfo: Uint8Array): string {
  const cursor = new BerCursor(subjectPublicKeyInfo)
  cursor.enter(berSequence, 'public key')
  cursor.element('algorithm')
  const bits = cursor.primitive(0x03, 'public key')
  return createHash('sha1').update(bits.subarray(1)).digest('hex')
}

const subjectKeyExtension = '2.5.29.14'

/** Certificate (RFC 5280 §4.1). */
function readCertificate(bytes: Uint8Array): {
  id: RecipientId & { kind: 'certificate' }
  subjectKey?: Uint8Array
} {
  const what = 'certificate'
  const cursor = new BerCursor(bytes)
  cursor.enter(berSequence, what)
  cursor.enter(berSequence, what)
  if (cursor.next() === (berContext(0) | berConstructed)) cursor.element('version')
  const serial = cursor.primitive(berInteger, 'serial number')
  cursor.element('signature algorithm')
  const issuer = cursor.element('issuer')
  cursor.element('validity')
  cursor.element('subject')
  cursor.element('public key')
  const id = { kind: 'certificate', issuer, serial } as const
  while (cursor.next() !== undefined && cursor.next() !== (berContext(3) | berConstructed))
    cursor.element(what)
  if (cursor.next() === undefined) return { id }
  cursor.enter(berContext(3) | berConstructed, 'extensions')
  cursor.enter(berSequence, 'extensions')
  while (cursor.next() !== undefined) {
    cursor.enter(berSequence, 'extension')
    const isSubjectKey =
      objectIdText(cursor.primitive(berObjectIdentifier, 'extension')) === subjectKeyExtension
    if (cursor.next() === 0x01) cursor.element('critical')
    const value = cursor.primitive(berOctetString, 'extension')
    cursor.leave('extension')
    if (isSubjectKey)
      return { id, subjectKey: new BerCursor(value).primitive(berOctetString, 'subject key identifier') }
  }
  return { id }
}

/** Names that differ only in string types, case and spaces are one (RFC 5280 §7.1). */
function comparable({ issuer, serial }: RecipientId & { kind: 'certificate' }): string {
  return `${serialText(serial)} ${issuerText(issuer).toLowerCase()}`
}

function serialText(serial: Uint8Array): string {
  const digits = hex(serial)
  return /^(?:00)+(?=..)/.test(digits) ? digits.replace(/^(?:00)+(?=..)/, '') : digits
}

/** The attributes in their order, with the usual short names; hexadecimal for what is no name. */
function issuerText(name: Uint8Array): string {
  try {
    const cursor = new BerCursor(name)
    const parts: string[] = []
    cursor.enter(berSequence, 'name')
    while (cursor.next() !== undefined) {
      cursor.enter(berSet, 'name')
      const attributes: string[] = []
      while (cursor.next() !== undefined) attributes.push(readAttribute(cursor))
      cursor.leave('name')
      parts.push(attributes.join('+'))
    }
    cursor.leave('name')
    return parts.join(', ')
  } catch (error) {
    if (error instanceof LegacyError) return `#${hex(name)}`
    throw error
  }
}

const attributeNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
}

function readAttribute(cursor: BerCursor): string {
  cursor.enter(berSequence, 'name')
  const id = objectIdText(cursor.primitive(berObjectIdentifier, 'name'))
  const value = cursor.element('name')
  cursor.leave('name')
  return `${attributeNames[id] ?? id}=${attributeText(value)}`
}

const textDecoders: Readonly<Record<number, string>> = {
  0x0c: 'utf-8',
  0x13: 'latin1',
  0x14: 'latin1',
  0x16: 'latin1',
  0x1e: 'utf-16be',
}

/** Spaces collapsed, and what separates attributes marked, so that no two names have one text. */
function attributeText(element: Uint8Array): string {
  const decoder = textDecoders[element[0] ?? 0]
  if (decoder === undefined) return `#${hex(element)}`
  const content = new BerCursor(element).primitive(element[0] ?? 0, 'name')
  const text = new TextDecoder(decoder).decode(content)
  return text
    .trim()
    .replaceAll(/\s+/gu, ' ')
    .replaceAll(/[\\,+=#]/gu, String.raw`\$&`)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
