/** What is encrypted in an OpenPGP message, through the library `openpgp`: the packet with the encrypted data, and the session key. */

import * as openpgp from 'openpgp'

import { cannotOpen, LegacyError, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { PgpContainer } from './openpgp-message.ts'
import { ciphers } from './openpgp-session-key.ts'
import type { SessionKey } from './openpgp-session-key.ts'

/**
 * @param packet The packet with the encrypted data alone, to its end.
 * @returns The content of the literal data packet as it stands: line ends are not changed.
 * @throws LegacyError `unsupported`, `cannot_open`, `limit_exceeded`
 */
export async function openBody(
  packet: Uint8Array,
  container: PgpContainer,
  sessionKey: SessionKey,
): Promise<Uint8Array> {
  const sessionKeys = toLibrary(sessionKey)
  const config = {
    allowUnauthenticatedMessages: container === 'sed',
    // Packet headers come along.
    maxDecompressedMessageSize: maxPlaintextBytes + 64 * 1024,
  }
  let data: unknown
  try {
    const message = await openpgp.readMessage({ binaryMessage: packet, config })
    data = (await openpgp.decrypt({ message, sessionKeys, format: 'binary', config })).data
  } catch (error) {
    throw toLegacyError(error)
  }
  if (!(data instanceof Uint8Array)) throw cannotOpen()
  if (data.length > maxPlaintextBytes) throw tooLarge()
  return data
}

/**
 * The same, in constant memory.
 *
 * @param packet Its pieces; ended early on an error.
 */
export async function* openBodyStream(
  packet: AsyncGenerator<Uint8Array, void, void>,
  container: PgpContainer,
  sessionKey: SessionKey,
): AsyncGenerator<Uint8Array, void, void> {
  const sessionKeys = toLibrary(sessionKey)
  const config = {
    allowUnauthenticatedMessages: container === 'sed',
    // The integrity check comes at the end, and so does its error: who reads waits for it.
    allowUnauthenticatedStream: true,
    maxDecompressedMessageSize: Infinity,
  }
  let sourceError: unknown
  const binaryMessage = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await packet.next()
          if (done === true) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          sourceError = error
          controller.error(error)
        }
      },
      async cancel() {
        await packet.return()
      },
    },
    { highWaterMark: 0 },
  )
  try {
    const message = await openpgp.readMessage({ binaryMessage, config })
    const { data } = await openpgp.decrypt({ message, sessionKeys, format: 'binary', config })
    // A stream was given, so a stream comes.
    for await (const piece of data as unknown as AsyncIterable<Uint8Array>) {
      if (piece.length > 0) yield piece
    }
  } catch (error) {
    throw sourceError ?? toLegacyError(error)
  } finally {
    await packet.return()
  }
}

function toLibrary({ cipher, key }: SessionKey) {
  const { name, libraryName: algorithm } = ciphers[cipher] ?? { name: 'unknown' }
  if (algorithm !== undefined) return { data: key, algorithm }
  throw new LegacyError('unsupported', `its cipher ${name} is not read here: gpg reads it (program: gpg)`)
}

/** Only what does not depend on a secret is told apart. */
function toLegacyError(error: unknown): LegacyError {
  if (error instanceof LegacyError) return error
  const message = error instanceof Error ? error.message : ''
  return message.includes('Maximum decompressed message size') ? tooLarge() : cannotOpen()
}
