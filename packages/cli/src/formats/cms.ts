/**
 * CMS (RFC 5652), also called PKCS #7: EnvelopedData and AuthEnvelopedData for RSA keys, as DER or BER, PEM, S/MIME or base64.
 * A reader of our own because libraries stop at RSAES-PKCS1-v1_5, at AuthEnvelopedData or at 16 MiB, and because it must say
 * by name what it cannot read. What was encrypted is given as it is, line ends included, whatever content type it has.
 */

import { OctetSplitter } from './asn1-octets.ts'
import type { ContentCipher } from './cms-algorithms.ts'
import { recipientName } from './cms-certificate.ts'
import { BodyDecipher, openCcm } from './cms-ciphers.ts'
import { encryptedContentIdentifier, isCmsStart, readCmsMessage, readCmsTail } from './cms-message.ts'
import type { CmsMessage } from './cms-message.ts'
import { unwrapDataKeys } from './cms-recipients.ts'
import { cannotOpen, LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'
import { findArmor, Unwrapper, unwrapArmor } from './smime.ts'
import type { Armor } from './smime.ts'

/** A content of many parts is gone through in pieces of this size. */
const partBytes = 64 * 1024

/** The format; reads the first cell. */
export const cms: LegacyFormat = {
  name: 'cms',
  recognize([cell]) {
    const bytes = bytesOf(cell ?? null)
    if (bytes === undefined) return undefined
    const armor = recognizeCms(bytes)
    return armor === undefined ? undefined : cmsValue(() => unwrapArmor(bytes, armor))
  },
}

function bytesOf(cell: Cell): Uint8Array | undefined {
  if (cell instanceof Uint8Array) return cell
  // DER in a text column cannot be: the text was base64, or headers.
  return typeof cell === 'string' && mayBeText(cell) ? Buffer.from(cell, 'utf8') : undefined
}

/** Looked at first, since every value of every column comes by here. */
function mayBeText(text: string): boolean {
  return /^\s*(?:M|-----BEGIN |[!-9;-~]+:)/.test(text)
}

/** @returns How a message is dressed; undefined when it is no enveloped CMS message, as far as its first bytes tell. */
export function recognizeCms(head: Uint8Array): Armor | undefined {
  try {
    const armor = findArmor(head)
    if (armor === undefined) return undefined
    const start = head.subarray(0, armor.start + 120)
    return isCmsStart(
      armor.encoding === 'binary' ? start.subarray(armor.start) : new Unwrapper(armor).push(start),
    )
      ? armor
      : undefined
  } catch (error) {
    if (error instanceof LegacyError) return undefined
    throw error
  }
}

/** A value whose message `read` gives; what it throws is told when the value is opened. */
export function cmsValue(read: () => Uint8Array): LegacyValue {
  let bytes: Uint8Array
  let message: CmsMessage
  try {
    bytes = read()
    message = readCmsMessage(bytes)
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return {
      ...unreadable,
      open() {
        throw error
      },
    }
  }
  return { ...describe(message), open: (keys) => openCms(bytes, message, keys) }
}

/** What is said of a message whose beginning cannot be read. */
export const unreadable = {
  keyId: undefined,
  wrapping: 'unreadable',
  body: 'unreadable',
  isAuthenticated: true,
} as const

export type Described = Pick<LegacyValue, 'keyId' | 'wrapping' | 'body' | 'isAuthenticated'>

/** What is said of a message without a key. */
export function describe({ recipients, otherRecipients, cipher }: CmsMessage): Described {
  const recipient = recipients.find(({ wrapping }) => !('error' in wrapping)) ?? recipients[0]
  return {
    keyId: recipient === undefined ? undefined : recipientName(recipient.id),
    wrapping: recipient?.wrapping.name ?? otherRecipients[0] ?? 'none',
    body: cipher.name,
    isAuthenticated: 'error' in cipher || cipher.mode !== 'cbc',
  }
}

/** @throws LegacyError `unsupported` or `malformed` when the content is encrypted in a way that is not read. */
export function readableCipher({ cipher, hasMac }: CmsMessage): ContentCipher {
  if ('error' in cipher) throw cipher.error
  if (hasMac && cipher.mode === 'cbc') throw malformed('authenticated data with a cipher that has no tag')
  return cipher
}

/**
 * Opens a message that is in memory.
 *
 * @throws LegacyError
 */
export function openCms(bytes: Uint8Array, message: CmsMessage, keys: PrivateKeys): Uint8Array {
  const cipher = readableCipher(message)
  const splitter = new OctetSplitter(encryptedContentIdentifier, message.cursor.room)
  const { at } = message.cursor
  const ciphertext = contentOf(bytes.subarray(at), splitter)
  if (splitter.rest === undefined) throw malformed('it is cut off')
  const behind = message.cursor.continueWith(bytes.subarray(at + splitter.passed), splitter.passed)
  const { mac, aad } = readCmsTail(message.hasMac, behind)
  if (ciphertext.length > maxPlaintextBytes + 16) throw tooLarge()
  if (mac !== undefined && mac.length !== cipher.tagBytes)
    throw malformed(`the tag has not ${cipher.tagBytes} bytes`)
  const telling = cipher.mode === 'cbc' ? 'nothing' : 'retry'
  for (const dataKey of unwrapDataKeys(message, keys, cipher.keyBytes, telling)) {
    try {
      const plaintext = openBody(cipher, dataKey, { ciphertext, mac, aad })
      if (plaintext !== undefined) return plaintext
    } finally {
      dataKey.fill(0)
    }
  }
  throw cannotOpen()
}

/** Of many parts one piece: there may be millions of them. */
function contentOf(bytes: Uint8Array, splitter: OctetSplitter): Uint8Array {
  if (bytes[0] === encryptedContentIdentifier) return splitter.push(bytes)[0] ?? new Uint8Array()
  const content = Buffer.allocUnsafe(bytes.length)
  let size = 0
  for (let at = 0; at < bytes.length && splitter.rest === undefined; at += partBytes) {
    for (const octets of splitter.push(bytes.subarray(at, at + partBytes))) {
      content.set(octets, size)
      size += octets.length
    }
  }
  return content.subarray(0, size)
}

function openBody(
  cipher: ContentCipher,
  key: Uint8Array,
  { ciphertext, mac, aad }: { ciphertext: Uint8Array; mac: Uint8Array | undefined; aad: Uint8Array },
): Buffer | undefined {
  if (cipher.mode === 'ccm') {
    if (mac !== undefined) return openCcm(cipher, key, { ciphertext, mac, aad })
    // As with AES-GCM, some writers put it into EnvelopedData, the tag at the end.
    const end = Math.max(0, ciphertext.length - cipher.tagBytes)
    return openCcm(cipher, key, {
      ciphertext: ciphertext.subarray(0, end),
      mac: ciphertext.subarray(end),
      aad,
    })
  }
  const decipher = new BodyDecipher(cipher, key, {
    aad,
    isTagAtEnd: mac === undefined && cipher.mode === 'gcm',
  })
  const start = decipher.update(ciphertext)
  const end = decipher.final(mac)
  if (end?.length === 0) return start
  const plaintext = end === undefined ? undefined : Buffer.concat([start, end])
  start.fill(0)
  end?.fill(0)
  return plaintext
}
