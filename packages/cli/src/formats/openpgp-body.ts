/** What is encrypted in an OpenPGP message, with its session key: in memory, or in constant memory. */

import { LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import { decryptWithMdc, decryptWithoutMdc, nodeCipher } from './openpgp-cfb.ts'
import { Bzip2Error, literalData } from './openpgp-content.ts'
import { hasLibrary, openWithLibrary } from './openpgp-library.ts'
import type { PgpContainer } from './openpgp-message.ts'
import { PieceReader } from './openpgp-pieces.ts'
import type { Pieces } from './openpgp-pieces.ts'
import { ciphers } from './openpgp-session-key.ts'
import type { SessionKey } from './openpgp-session-key.ts'

/**
 * @param packet The packet with the encrypted data alone, to its end.
 * @throws LegacyError `unsupported`, `cannot_open`, `limit_exceeded`
 */
export async function openBody(
  packet: Uint8Array,
  container: PgpContainer,
  sessionKey: SessionKey,
): Promise<Uint8Array> {
  const canUseLibrary = container !== 'sed' && hasLibrary(sessionKey)
  if (nodeCipher(sessionKey) === undefined || container === 'seipd2' || container === 'aead') {
    if (canUseLibrary) return await openWithLibrary(packet, sessionKey)
    throw unread(cipherName(sessionKey))
  }
  try {
    return await collect(openBodyStream(once(packet), container, sessionKey))
  } catch (error) {
    if (!(error instanceof Bzip2Error)) throw error
    if (canUseLibrary) return await openWithLibrary(packet, sessionKey)
    throw unread('BZip2 without an integrity check')
  }
}

/**
 * The same, in constant memory. What it gives is not checked before the end.
 *
 * @param packet The packet with the encrypted data, and nothing behind it.
 * @throws LegacyError While it is read; Bzip2Error
 */
export async function* openBodyStream(
  packet: Pieces,
  container: PgpContainer,
  sessionKey: SessionKey,
): Pieces {
  const name = nodeCipher(sessionKey)
  if (name === undefined) throw unread(`${cipherName(sessionKey)} of this size`)
  if (container === 'seipd2' || container === 'aead') throw unread('AEAD of this size')
  const reader = new PieceReader(packet)
  const header = await reader.header()
  if (header === undefined) throw malformed('it is cut off')
  const body = reader.body(header)
  const packets =
    container === 'sed'
      ? decryptWithoutMdc(body, name, sessionKey)
      : decryptWithMdc(behindVersion(body), name, sessionKey)
  yield* literalData(packets)
  if ((await reader.upTo(1)) !== undefined) throw malformed('something is behind its encrypted data')
}

async function* behindVersion(body: Pieces): Pieces {
  const reader = new PieceReader(body)
  await reader.exactly(1)
  for (;;) {
    const piece = await reader.upTo(Infinity)
    if (piece === undefined) return
    yield piece
  }
}

async function* once(bytes: Uint8Array): Pieces {
  yield bytes
}

async function collect(pieces: Pieces): Promise<Uint8Array> {
  const found: Uint8Array[] = []
  let size = 0
  try {
    for await (const piece of pieces) {
      // They are parts of what is decrypted next, and of what was given.
      found.push(Uint8Array.from(piece))
      size += piece.length
      if (size > maxPlaintextBytes) throw tooLarge()
    }
    return Buffer.concat(found)
  } finally {
    for (const piece of found) piece.fill(0)
  }
}

function cipherName({ cipher }: SessionKey): string {
  return ciphers[cipher]?.name ?? 'unknown'
}

function unread(what: string): LegacyError {
  return new LegacyError('unsupported', `${what} is not read: gpg reads it (program: gpg)`)
}
