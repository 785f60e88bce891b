/**
 * Encrypted data through the library `openpgp`: AEAD, the ciphers that Node lacks, and BZip2. Only what is authenticated, and is in
 * memory as a whole, so that it is checked before it is parsed: the library may wait for ever on packets that are damaged.
 */

import { decrypt, readMessage } from 'openpgp'

import { cannotOpen, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import { ciphers } from './openpgp-session-key.ts'
import type { SessionKey } from './openpgp-session-key.ts'

/** True when the library has the cipher. */
export function hasLibrary({ cipher }: SessionKey): boolean {
  return ciphers[cipher]?.libraryName !== undefined
}

/**
 * @param packet The packet with the encrypted data alone, to its end.
 * @returns The content of the literal data packet, byte for byte.
 * @throws LegacyError `cannot_open`, `limit_exceeded`
 */
export async function openWithLibrary(packet: Uint8Array, { cipher, key }: SessionKey): Promise<Uint8Array> {
  const algorithm = ciphers[cipher]?.libraryName
  if (algorithm === undefined) throw cannotOpen()
  // Packet headers come along.
  const config = { maxDecompressedMessageSize: maxPlaintextBytes + 64 * 1024 }
  let data: unknown
  try {
    const message = await readMessage({ binaryMessage: packet, config })
    const sessionKeys = { data: key, algorithm }
    data = (await decrypt({ message, sessionKeys, format: 'binary', config })).data
  } catch (error) {
    // Only what does not depend on a secret is told apart.
    const isLarge = error instanceof Error && error.message.includes('Maximum decompressed')
    throw isLarge ? tooLarge() : cannotOpen()
  }
  if (!(data instanceof Uint8Array)) throw cannotOpen()
  if (data.length > maxPlaintextBytes) throw tooLarge()
  return data
}
