/** OpenPGP messages of any size, read from front to end in constant memory. */

import { ArmorReader, isArmored, readArmor, streamArmor } from './armor.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { PrivateKeys } from './legacy-format.ts'
import { headBytes } from './legacy-stream.ts'
import type { LegacyStream, LegacyStreamFormat } from './legacy-stream.ts'
import { openBodyStream } from './openpgp-body.ts'
import { Bzip2Error } from './openpgp-content.ts'
import { streamWithGpg } from './openpgp-gpg.ts'
import type { GpgSettings } from './openpgp-gpg.ts'
import { isPgpMessage, readPgpMessage } from './openpgp-message.ts'
import type { PgpMessage } from './openpgp-message.ts'
import type { Pieces } from './openpgp-pieces.ts'
import { unwrapSessionKeys } from './openpgp-session-key.ts'
import { describePgp, openPgp, pgpLabel, unreadable } from './openpgp.ts'

/** Messages that end within so many bytes are read as a whole, with every cipher and compression. */
const defaultWholeBytes = 16 * 1024 * 1024

interface HowToOpen {
  readonly gpg: GpgSettings | undefined
  readonly wholeBytes: number
}

/**
 * @param gpg Opens them in place of the private keys of the run.
 * @param testingWholeBytes Instead of 16 MiB.
 */
export function openPgpStreamFormat(
  gpg?: GpgSettings,
  testingWholeBytes = defaultWholeBytes,
): LegacyStreamFormat {
  const how = { gpg, wholeBytes: testingWholeBytes }
  return {
    name: 'openpgp',
    recognize(head) {
      if (isPgpMessage(head))
        return streamOf(
          how,
          () => head,
          (source) => source,
        )
      if (!isArmored(head, pgpLabel)) return undefined
      return streamOf(
        how,
        () => (head.length < headBytes ? readArmor(head, pgpLabel) : new ArmorReader(pgpLabel).push(head)),
        (source) => streamArmor(source, pgpLabel),
      )
    },
  }
}

interface Opening extends HowToOpen {
  readonly isAuthenticated: boolean
}

type Undress = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

function streamOf(how: HowToOpen, readHead: () => Uint8Array, undress: Undress): LegacyStream {
  try {
    const about = describePgp(readPgpMessage(readHead()))
    return { ...about, open: (source, keys) => open(undress(source), keys, { ...how, ...about }) }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return { ...unreadable, open: () => failing(error) }
  }
}

// eslint-disable-next-line require-yield -- it is the first reading that fails
async function* failing(error: LegacyError): AsyncGenerator<Uint8Array, void, void> {
  throw error
}

async function* open(source: AsyncIterable<Uint8Array>, keys: PrivateKeys, how: Opening): Pieces {
  const pieces = source[Symbol.asyncIterator]()
  try {
    const found: Uint8Array[] = []
    let size = 0
    let isWhole = false
    while (size <= how.wholeBytes && !isWhole) {
      const { done, value } = await pieces.next()
      if (done === true) isWhole = true
      else {
        found.push(value)
        size += value.length
      }
    }
    const start = Buffer.concat(found)
    found.length = 0
    const message = readPgpMessage(start)
    // The object is read a second time, and somebody may have decided by what was said of it at first.
    if (describePgp(message).isAuthenticated !== how.isAuthenticated)
      throw malformed('it changed while it was read')
    if (how.gpg !== undefined) yield* streamWithGpg(rest(start, pieces), message.container, how.gpg)
    else {
      const plaintext = isWhole ? await openSmall(start, message, keys) : undefined
      if (plaintext !== undefined) yield plaintext
      else yield* openLarge(rest(start.subarray(message.at), pieces), message, keys)
    }
  } finally {
    await pieces.return?.()
  }
}

/** Undefined when its plaintext does not fit into memory: a few bytes can stand for gigabytes. */
async function openSmall(
  bytes: Uint8Array,
  message: PgpMessage,
  keys: PrivateKeys,
): Promise<Uint8Array | undefined> {
  try {
    return await openPgp(bytes, message, keys)
  } catch (error) {
    if (error instanceof LegacyError && error.code === 'limit_exceeded') return undefined
    throw error
  }
}

async function* openLarge(packet: Pieces, message: PgpMessage, keys: PrivateKeys): Pieces {
  // Of several keys the checksum decides: the body is read once.
  const [sessionKey] = unwrapSessionKeys(message, keys)
  if (sessionKey === undefined) throw cannotOpen()
  try {
    yield* openBodyStream(packet, message.container, sessionKey)
  } catch (error) {
    if (!(error instanceof Bzip2Error)) throw error
    throw new LegacyError('unsupported', 'BZip2 of this size is not read: gpg reads it (program: gpg)')
  } finally {
    sessionKey.key.fill(0)
  }
}

async function* rest(start: Uint8Array, pieces: AsyncIterator<Uint8Array>): Pieces {
  yield Uint8Array.from(start)
  for (;;) {
    const { done, value } = await pieces.next()
    if (done === true) return
    yield value
  }
}
