/**
 * Messages of the AWS Encryption SDK whose data key is wrapped by a raw RSA keyring. A reader of our own: the SDK for JavaScript
 * takes private keys as PEM only, so that those in a hardware module or behind a program could not be used, and brings
 * some twenty packages; the format is published, and the SDK itself writes the messages that the tests read.
 */

import { createPublicKey, ECDH, hkdfSync, timingSafeEqual, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { openGcm } from './aes.ts'
import { looksLikeAwsMessage, readAwsMessage } from './aws-message.ts'
import type { AwsFrame, AwsHeader, AwsMessage, AwsWrappedKey } from './aws-message.ts'
import type { AwsSettings } from './built-in-settings.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, OaepHash, PrivateKey, PrivateKeys } from './legacy-format.ts'

type Padding = NonNullable<AwsSettings['padding']>
type Unwrap = (key: PrivateKey, wrapped: Uint8Array) => Uint8Array | undefined

/** A message does not say how its data key is wrapped; its keyring knew. v1.5 last: it always gives something. */
const unwraps: Readonly<Record<Padding, Unwrap>> = {
  'oaep-sha256': oaep('sha256'),
  'oaep-sha1': oaep('sha1'),
  'oaep-sha512': oaep('sha512'),
  'oaep-sha384': oaep('sha384'),
  pkcs1: (key, wrapped) => key.unwrapPkcs1(wrapped),
}

function oaep(hash: OaepHash): Unwrap {
  return (key, wrapped) => key.unwrapOaep(wrapped, { hash, mgf1Hash: hash, label: new Uint8Array() })
}

/** The pair of the encryption context in which a signed message keeps the key of its signature. */
const publicKeyName = 'aws-crypto-public-key'

/**
 * The format; reads the first cell, bytes or base64.
 *
 * @param columns Names of the cells.
 * @throws RangeError when the settings name another column.
 */
export function awsFormat(settings: AwsSettings, columns: readonly string[]): LegacyFormat {
  const expected = Object.entries(settings.context).map(([name, value]) => {
    if (typeof value === 'string') return { name, valueIn: () => value }
    const index = columns.indexOf(value.column)
    if (index < 0) throw new RangeError(`no column ${value.column}`)
    return { name, valueIn: (cells: readonly Cell[]) => textOf(cells[index] ?? null) }
  })
  const paddings = settings.padding === undefined ? Object.keys(unwraps) : [settings.padding]
  // They are of few kinds in one column, so that the one that fitted last is tried first.
  const order = paddings.map((name) => unwraps[name as Padding])
  return {
    name: 'aws-encryption-sdk',
    recognize(cells) {
      const bytes = messageIn(cells[0] ?? null)
      if (bytes === undefined) return undefined
      const pairs = expected.map(({ name, valueIn }) => [name, valueIn(cells)] as const)
      const wrapping = settings.padding === undefined ? 'RSA' : `RSA ${settings.padding}`
      return valueOf(bytes, { wrapping, pairs, order })
    },
  }
}

interface HowToOpen {
  readonly wrapping: string
  /** What the encryption context must hold. */
  readonly pairs: readonly (readonly [string, string | undefined])[]
  /** Reordered by what fits. */
  readonly order: Unwrap[]
}

function textOf(cell: Cell): string | undefined {
  return typeof cell === 'string' || typeof cell === 'bigint' ? String(cell) : undefined
}

/** A text is decoded only if the first characters mean such a message. */
function messageIn(cell: Cell): Uint8Array | undefined | 'not base64' {
  if (cell instanceof Uint8Array) {
    if (looksLikeAwsMessage(cell)) return cell
    return /^A[YgQI]/.test(Buffer.from(cell.subarray(0, 2)).toString('latin1'))
      ? messageIn(new TextDecoder().decode(cell))
      : undefined
  }
  if (typeof cell !== 'string') return undefined
  const text = cell.trim()
  if (!looksLikeAwsMessage(Buffer.from(text.slice(0, 60), 'base64'))) return undefined
  return decodeText(text, 'base64') ?? 'not base64'
}

function valueOf(bytes: Uint8Array | 'not base64', how: HowToOpen): LegacyValue {
  let message: AwsMessage
  try {
    if (bytes === 'not base64') throw malformed('it is not base64')
    message = readAwsMessage(bytes)
  } catch (error) {
    if (!(error instanceof LegacyError)) throw error
    return broken(error)
  }
  const ours = message.header.wrappedKeys.find(isRaw)
  return {
    keyId: ours === undefined ? undefined : `${ours.provider}/${ours.info}`,
    wrapping: ours === undefined ? 'AWS KMS' : how.wrapping,
    body: message.header.suite.name,
    isAuthenticated: true,
    open: (keys) => open(message, keys, how),
  }
}

function broken(error: LegacyError): LegacyValue {
  return {
    keyId: undefined,
    wrapping: 'unreadable',
    body: 'unreadable',
    isAuthenticated: true,
    open() {
      throw error
    },
  }
}

/** `aws-kms`, `aws-kms-hierarchy` and the like are the service's own. */
function isRaw({ provider }: AwsWrappedKey): boolean {
  return !provider.startsWith('aws-kms')
}

function open(message: AwsMessage, keys: PrivateKeys, { order, pairs }: HowToOpen): Uint8Array {
  const { header } = message
  const wrappedKeys = header.wrappedKeys.filter(isRaw)
  if (wrappedKeys.length === 0) {
    throw new LegacyError('unsupported', 'its data key is wrapped by AWS KMS alone, not by a raw RSA keyring')
  }
  const signer = signerOf(header)
  let isOurs = false
  for (const { provider, info, wrapped } of wrappedKeys) {
    for (const key of new Set([...keys.candidates(`${provider}/${info}`), ...keys.candidates(info)])) {
      isOurs = true
      if (key.modulusBytes !== wrapped.length) continue
      for (const [index, unwrap] of order.entries()) {
        // Trying is safe: the tag of the header tells, before anything of the body is opened.
        const bodyKey = bodyKeyOf(header, unwrap(key, wrapped))
        if (bodyKey === undefined) continue
        order.unshift(...order.splice(index, 1))
        try {
          if (pairs.some(([name, value]) => value === undefined || header.context.get(name) !== value))
            throw cannotOpen()
          return openBody(message, bodyKey, signer)
        } finally {
          bodyKey.fill(0)
        }
      }
    }
  }
  if (isOurs) throw cannotOpen()
  throw new LegacyError('no_private_key', 'no private key has its key id')
}

/** The key that encrypts header and body, if the tag of the header is by it; wipes the data key. */
function bodyKeyOf(header: AwsHeader, dataKey: Uint8Array | undefined): Uint8Array | undefined {
  if (dataKey === undefined) return undefined
  try {
    if (dataKey.length !== header.suite.keyBytes) return undefined
    const key = derive(header, dataKey)
    if (key === undefined) return undefined
    const { iv, tag, covered } = header
    if (openGcm({ key, iv, ciphertext: new Uint8Array(), tag, aad: covered }) !== undefined) return key
    key.fill(0)
    return undefined
  } finally {
    dataKey.fill(0)
  }
}

/** `framework/algorithm-suites.md`, key derivation and commitment. */
function derive(header: AwsHeader, dataKey: Uint8Array): Uint8Array | undefined {
  const { suite, suiteId, messageId, commitment } = header
  if (suite.kdf === undefined) return Uint8Array.from(dataKey)
  if (commitment === undefined) {
    const info = Buffer.concat([suiteId, messageId])
    return new Uint8Array(hkdfSync(suite.kdf, dataKey, new Uint8Array(), info, suite.keyBytes))
  }
  const committed = new Uint8Array(hkdfSync(suite.kdf, dataKey, messageId, 'COMMITKEY', commitment.length))
  if (!timingSafeEqual(committed, commitment)) return undefined
  const info = Buffer.concat([suiteId, Buffer.from('DERIVEKEY')])
  return new Uint8Array(hkdfSync(suite.kdf, dataKey, messageId, info, suite.keyBytes))
}

/** `data-format/message-body-aad.md` */
const frameNames = {
  frame: 'AWSKMSEncryptionClient Frame',
  'final frame': 'AWSKMSEncryptionClient Final Frame',
  whole: 'AWSKMSEncryptionClient Single Block',
} as const satisfies Record<AwsFrame['kind'], string>

function frameAad({ messageId }: AwsHeader, { kind, sequence, content }: AwsFrame): Uint8Array {
  const numbers = Buffer.alloc(12)
  numbers.writeUInt32BE(sequence)
  numbers.writeBigUInt64BE(BigInt(content.length), 4)
  return Buffer.concat([messageId, Buffer.from(frameNames[kind]), numbers])
}

function openBody({ header, frames, signature }: AwsMessage, key: Uint8Array, signer: Signer): Uint8Array {
  // Before the body: nothing is released that the sender did not sign.
  if (signature !== undefined && signer?.(signature.covered, signature.bytes) !== true) throw cannotOpen()
  const parts: Buffer[] = []
  try {
    for (const frame of frames) {
      const { iv, content: ciphertext, tag } = frame
      const part = openGcm({ key, iv, ciphertext, tag, aad: frameAad(header, frame) })
      if (part === undefined) throw cannotOpen()
      parts.push(part)
    }
    return Buffer.concat(parts)
  } finally {
    for (const part of parts) part.fill(0)
  }
}

/** Says whether a signature is by the key that the message brings; undefined for suites that do not sign. */
type Signer = ((covered: Uint8Array, signature: Uint8Array) => boolean) | undefined

function signerOf({ suite, context }: AwsHeader): Signer {
  const text = context.get(publicKeyName)
  if ((suite.signature === undefined) !== (text === undefined)) {
    throw malformed('its algorithm suite and the key of its signature do not fit together')
  }
  if (suite.signature === undefined || text === undefined) return undefined
  const { curve, hash } = suite.signature
  const key = publicKeyOf(decodeText(text, 'base64'), curve)
  return (covered, signature) => verify(hash, covered, key, signature)
}

/** A compressed point (SEC 1 §2.3.3). */
function publicKeyOf(point: Uint8Array | undefined, curve: 'P-256' | 'P-384'): KeyObject {
  try {
    if (point === undefined) throw malformed('the key of its signature is not base64')
    const name = curve === 'P-256' ? 'prime256v1' : 'secp384r1'
    // Without an encoding it is a Buffer.
    const whole = ECDH.convertKey(point, name, undefined, undefined, 'uncompressed') as Buffer
    const half = (whole.length - 1) / 2
    const [x, y] = [whole.subarray(1, 1 + half), whole.subarray(1 + half)]
    const key = { kty: 'EC', crv: curve, x: x.toString('base64url'), y: y.toString('base64url') }
    return createPublicKey({ key, format: 'jwk' })
  } catch {
    throw malformed('the key of its signature is no point of its curve')
  }
}
