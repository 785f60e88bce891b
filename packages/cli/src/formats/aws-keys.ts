/** The data key of a message, and what it opens: header, frames, and the signature behind them. */

import { createPublicKey, createVerify, ECDH, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { KeyObject, Verify } from 'node:crypto'

import { openGcm } from './aes.ts'
import type { AwsFrame, AwsHeader, AwsWrappedKey } from './aws-message.ts'
import type { AwsSettings } from './built-in-settings.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { OaepHash, PrivateKey, PrivateKeys } from './legacy-format.ts'

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

/** In the order in which they are tried; reordered by what fits, since a column or tree has few kinds. */
export type UnwrapOrder = Unwrap[]

export function unwrapOrder({ padding }: AwsSettings): UnwrapOrder {
  return padding === undefined ? Object.values(unwraps) : [unwraps[padding]]
}

/** `aws-kms`, `aws-kms-hierarchy` and the like are the service's own. */
export function isRaw({ provider }: AwsWrappedKey): boolean {
  return !provider.startsWith('aws-kms')
}

/** What the encryption context must hold; undefined: the row does not say it. */
export type ExpectedPairs = readonly (readonly [name: string, value: string | undefined])[]

/**
 * The key that encrypts header and body; the caller wipes it.
 *
 * @throws LegacyError `unsupported`, `no_private_key`, `cannot_open`
 */
export function unlockAws(
  header: AwsHeader,
  keys: PrivateKeys,
  order: UnwrapOrder,
  pairs: ExpectedPairs,
): Uint8Array {
  const wrappedKeys = header.wrappedKeys.filter(isRaw)
  if (wrappedKeys.length === 0) {
    throw new LegacyError('unsupported', 'its data key is wrapped by AWS KMS alone, not by a raw RSA keyring')
  }
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
        if (pairs.every(([name, value]) => value !== undefined && header.context.get(name) === value))
          return bodyKey
        bodyKey.fill(0)
        throw cannotOpen()
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

/** @throws LegacyError `cannot_open` */
export function openFrame(header: AwsHeader, frame: AwsFrame, key: Uint8Array): Buffer {
  const { iv, content: ciphertext, tag } = frame
  const part = openGcm({ key, iv, ciphertext, tag, aad: frameAad(header, frame) })
  if (part === undefined) throw cannotOpen()
  return part
}

/** The pair of the encryption context in which a signed message keeps the key of its signature. */
const publicKeyName = 'aws-crypto-public-key'

/** Takes all that a signature covers, piece by piece. */
export class AwsVerifier {
  readonly #verify: Verify
  readonly #key: KeyObject

  constructor(hash: string, key: KeyObject) {
    this.#verify = createVerify(hash)
    this.#key = key
  }

  update(covered: Uint8Array): void {
    this.#verify.update(covered)
  }

  /** @throws LegacyError `cannot_open` */
  check(signature: Uint8Array): void {
    if (!this.#verify.verify(this.#key, signature)) throw cannotOpen()
  }
}

/**
 * By the key that the message brings in its encryption context; undefined for suites that do not sign.
 *
 * @throws LegacyError `malformed`
 */
export function verifierOf({ suite, context }: AwsHeader): AwsVerifier | undefined {
  const text = context.get(publicKeyName)
  if ((suite.signature === undefined) !== (text === undefined)) {
    throw malformed('its algorithm suite and the key of its signature do not fit together')
  }
  if (suite.signature === undefined || text === undefined) return undefined
  const { curve, hash } = suite.signature
  const key = publicKeyOf(decodeText(text, 'base64'), curve)
  return new AwsVerifier(hash, key)
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
