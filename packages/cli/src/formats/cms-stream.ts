/** CMS messages of any size, read from front to end in constant memory. */

import { OctetSplitter } from './asn1-octets.ts'
import { BodyDecipher } from './cms-ciphers.ts'
import { encryptedContentIdentifier, readCmsMessage, readCmsTail } from './cms-message.ts'
import type { CmsMessage } from './cms-message.ts'
import { unwrapDataKeys } from './cms-recipients.ts'
import { describe, openCms, readableCipher, recognizeCms, unreadable } from './cms.ts'
import type { Described } from './cms.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { PrivateKeys } from './legacy-format.ts'
import { headBytes } from './legacy-stream.ts'
import type { LegacyStreamFormat } from './legacy-stream.ts'
import { Unwrapper, unwrapArmor } from './smime.ts'
import type { Armor } from './smime.ts'

/** Messages that end within so many bytes are read as a whole, with all that CMS allows. */
const defaultWholeBytes = 16 * 1024 * 1024

/** What may follow the content: attributes with certificates and time stamps. */
const maxTailBytes = 1024 * 1024

/** @param testingWholeBytes Instead of 16 MiB. */
export function cmsStreamFormat(testingWholeBytes = defaultWholeBytes): LegacyStreamFormat {
  return {
    name: 'cms',
    recognize(head) {
      const armor = recognizeCms(head)
      if (armor === undefined) return undefined
      const about = describeHead(head, armor)
      if (about instanceof LegacyError) return { ...unreadable, open: () => failing(about) }
      return {
        ...about,
        open: (source, keys) =>
          open(undressed(source, armor), keys, about.isAuthenticated, testingWholeBytes),
      }
    },
  }
}

function describeHead(head: Uint8Array, armor: Armor): Described | LegacyError {
  const isWhole = head.length < headBytes
  try {
    const bytes = isWhole ? unwrapArmor(head, armor) : new Unwrapper(armor).push(head)
    return describe(readCmsMessage(bytes))
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    if (isWhole) return error
    return new LegacyError('limit_exceeded', `${error.message}: recipients may take up ${headBytes} bytes`)
  }
}

// eslint-disable-next-line require-yield -- it is the first reading that fails
async function* failing(error: LegacyError): AsyncGenerator<Uint8Array, void, void> {
  throw error
}

async function* undressed(
  source: AsyncIterable<Uint8Array>,
  armor: Armor,
): AsyncGenerator<Uint8Array, void, void> {
  const unwrapper = new Unwrapper(armor)
  for await (const piece of source) {
    const bytes = unwrapper.push(piece)
    if (bytes.length > 0) yield bytes
  }
  const last = unwrapper.end()
  if (last.length > 0) yield last
}

async function* open(
  source: AsyncGenerator<Uint8Array, void, void>,
  keys: PrivateKeys,
  isAuthenticated: boolean,
  wholeBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    const pieces: Uint8Array[] = []
    let size = 0
    let isWhole = false
    while (size <= wholeBytes && !isWhole) {
      const next = await source.next()
      if (next.done === true) isWhole = true
      else {
        pieces.push(next.value)
        size += next.value.length
      }
    }
    const start = Buffer.concat(pieces)
    pieces.length = 0
    const message = readCmsMessage(start)
    // The object is read a second time, and somebody may have decided by what was said of it at first.
    if (describe(message).isAuthenticated !== isAuthenticated) throw malformed('it changed while it was read')
    if (isWhole) yield openCms(start, message, keys)
    else yield* openLarge(source, start, message, keys)
  } finally {
    await source.return()
  }
}

/** @param start What was read of it, message header included. */
async function* openLarge(
  source: AsyncGenerator<Uint8Array, void, void>,
  start: Uint8Array,
  message: CmsMessage,
  keys: PrivateKeys,
): AsyncGenerator<Uint8Array, void, void> {
  const cipher = readableCipher(message)
  if (cipher.mode === 'ccm') {
    throw new LegacyError('unsupported', 'AES-CCM of this size is not read: its tag is checked in memory')
  }
  const telling = cipher.mode === 'cbc' ? 'nothing' : 'end'
  const [dataKey] = unwrapDataKeys(message, keys, cipher.keyBytes, telling)
  if (dataKey === undefined) throw cannotOpen()
  const isTagAtEnd = cipher.mode === 'gcm' && !message.hasMac
  const decipher = new BodyDecipher(cipher, dataKey, { aad: new Uint8Array(), isTagAtEnd })
  dataKey.fill(0)

  const splitter = new OctetSplitter(encryptedContentIdentifier, message.cursor.room)
  let piece = start.subarray(message.cursor.at)
  for (;;) {
    const octets = splitter.push(piece)
    // One call for all parts in a piece: they may be small.
    const plaintext = decipher.update(octets.length === 1 ? (octets[0] ?? piece) : Buffer.concat(octets))
    if (plaintext.length > 0) yield plaintext
    if (splitter.rest !== undefined) break
    const next = await source.next()
    if (next.done === true) throw malformed('it is cut off')
    piece = next.value
  }
  const tail = await collect(splitter.rest, source)
  const { mac, aad } = readCmsTail(message.hasMac, message.cursor.continueWith(tail, splitter.passed))
  if (aad.length > 0) {
    throw new LegacyError(
      'unsupported',
      'authenticated attributes behind a content of this size are not read',
    )
  }
  if (mac !== undefined && mac.length !== cipher.tagBytes)
    throw malformed(`the tag has not ${cipher.tagBytes} bytes`)
  const last = decipher.final(mac)
  if (last === undefined) throw cannotOpen()
  if (last.length > 0) yield last
}

async function collect(
  first: Uint8Array,
  source: AsyncGenerator<Uint8Array, void, void>,
): Promise<Uint8Array> {
  const pieces = [first]
  let size = first.length
  for await (const piece of source) {
    pieces.push(piece)
    size += piece.length
    if (size > maxTailBytes) throw malformed('more than 1 MiB after its content')
  }
  return Buffer.concat(pieces)
}
