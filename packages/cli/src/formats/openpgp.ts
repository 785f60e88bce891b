/**
 * OpenPGP messages (RFC 9580, and RFC 4880 before it) for RSA keys, as gpg, Sequoia and pgcrypto's `pgp_pub_encrypt` write
 * them: binary, armored, or in base64 as text columns have them. Signatures within are not checked. The plaintext is
 * the content of the literal data, byte for byte: gpg would turn CRLF of text mode (`-t`) into LF.
 */

import { isArmored, readArmor } from './armor.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue, PrivateKeys } from './legacy-format.ts'
import { openBody } from './openpgp-body.ts'
import { openWithGpg } from './openpgp-gpg.ts'
import type { GpgSettings } from './openpgp-gpg.ts'
import { isPgpMessage, isRsa, readPgpMessage, recipientAlgorithm } from './openpgp-message.ts'
import type { PgpMessage } from './openpgp-message.ts'
import { onlyPacket } from './openpgp-packets.ts'
import { ciphers, unwrapSessionKeys } from './openpgp-session-key.ts'

export const pgpLabel = 'PGP MESSAGE'

type OpenMessage = (bytes: Uint8Array, message: PgpMessage, keys: PrivateKeys) => Promise<Uint8Array>

/**
 * The format; reads the first cell.
 *
 * @param gpg Opens the messages in place of the private keys of the run.
 */
export function openPgpFormat(gpg?: GpgSettings): LegacyFormat {
  const open: OpenMessage =
    gpg === undefined ? openPgp : async (bytes, message) => await openWithGpg(bytes, message, gpg)
  return {
    name: 'openpgp',
    recognize([cell]) {
      if (cell instanceof Uint8Array) {
        if (isPgpMessage(cell)) return valueOf(() => cell, open)
        return isArmored(cell, pgpLabel) ? valueOf(() => readArmor(cell, pgpLabel), open) : undefined
      }
      if (typeof cell !== 'string') return undefined
      if (isArmored(cell, pgpLabel)) return valueOf(() => readArmor(Buffer.from(cell), pgpLabel), open)
      // A packet's first byte has its high bit set: base64 of it begins with one of these.
      if (!/^[g-z0-9+/w-]/.test(cell) || !isPgpMessage(Buffer.from(cell.slice(0, 128), 'base64')))
        return undefined
      return valueOf(() => fromBase64(cell), open)
    },
  }
}

function fromBase64(text: string): Uint8Array {
  const bytes = decodeText(text.trimEnd(), 'base64')
  if (bytes === undefined) throw malformed('it is not base64')
  return bytes
}

function valueOf(read: () => Uint8Array, open: OpenMessage): LegacyValue {
  try {
    const bytes = read()
    const message = readPgpMessage(bytes)
    return { ...describePgp(message), open: (keys) => open(bytes, message, keys) }
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return {
      ...unreadable,
      open() {
        throw error
      },
    }
  }
}

/** What is said of a message whose beginning cannot be read. */
export const unreadable = {
  keyId: undefined,
  wrapping: 'unreadable',
  body: 'unreadable',
  isAuthenticated: true,
} as const

export type Described = Pick<LegacyValue, 'keyId' | 'wrapping' | 'body' | 'isAuthenticated'>

const modes: Readonly<Record<number, string>> = { 1: 'EAX', 2: 'OCB', 3: 'GCM' }

/** What is said of a message without a key. */
export function describePgp({ recipients, container, cipher, mode }: PgpMessage): Described {
  const recipient = recipients.find(isRsa) ?? recipients[0]
  const aead = `${ciphers[cipher ?? 0]?.name ?? 'unknown'} ${modes[mode ?? 0] ?? 'unknown'}`
  return {
    keyId: recipient?.keyId,
    wrapping: recipient === undefined ? 'passphrase' : recipientAlgorithm(recipient),
    body: container === 'sed' ? 'CFB' : container === 'seipd1' ? 'CFB with MDC' : aead,
    isAuthenticated: container !== 'sed',
  }
}

/**
 * Opens a message that is in memory.
 *
 * @throws LegacyError
 */
export async function openPgp(
  bytes: Uint8Array,
  message: PgpMessage,
  keys: PrivateKeys,
): Promise<Uint8Array> {
  const packet = onlyPacket(bytes, message.at)
  for (const sessionKey of unwrapSessionKeys(message, keys)) {
    try {
      return await openBody(packet, message.container, sessionKey)
    } catch (error) {
      if (!(error instanceof LegacyError) || error.code !== 'cannot_open') throw error
    } finally {
      sessionKey.key.fill(0)
    }
  }
  throw cannotOpen()
}
