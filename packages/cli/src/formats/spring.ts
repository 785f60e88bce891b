/**
 * Property values of Spring Cloud Config with an RSA key, `{cipher}` and base64 (spring-security, `RsaSecretEncryptor`):
 * length, wrapped secret, body. What is wrapped is no key but a password of 16 bytes, from which PBKDF2 makes the key.
 */

import { pbkdf2Sync } from 'node:crypto'

import { gcmTagBytes, openCbc, openGcm } from './aes.ts'
import type { SpringSettings } from './built-in-settings.ts'
import { ByteReader } from './byte-reader.ts'
import { decodeText } from './encodings.ts'
import { cannotOpen, LegacyError, malformed } from './legacy-format.ts'
import type { LegacyFormat, LegacyValue, PrivateKey, PrivateKeys } from './legacy-format.ts'

/** Of the secret; more or fewer are another key's, since PBKDF2 takes any. */
const secretBytes = 16
const ivBytes = 16

interface SpringValue {
  readonly alias: string | undefined
  readonly wrapped: Uint8Array
  readonly iv: Uint8Array
  readonly body: Uint8Array
}

/** The format; reads the first cell. */
export function springFormat(settings: SpringSettings): LegacyFormat {
  return {
    name: 'spring',
    recognize([cell]) {
      const text = cell instanceof Uint8Array ? asText(cell) : cell
      if (typeof text !== 'string' || !text.startsWith('{cipher}')) return undefined
      return valueOf(text.slice('{cipher}'.length), settings)
    },
  }
}

function asText(bytes: Uint8Array): string | undefined {
  return bytes[0] === 0x7b && bytes[1] === 0x63 ? new TextDecoder().decode(bytes) : undefined
}

function valueOf(text: string, settings: SpringSettings): LegacyValue {
  const { alias, payload } = withoutPrefixes(text)
  const about = {
    keyId: alias,
    wrapping: settings.algorithm === 'oaep' ? 'RSA-OAEP sha1' : 'RSA pkcs1',
    body: `PBKDF2, ${settings.strong ? 'aes-256-gcm' : 'aes-256-cbc'}`,
    isAuthenticated: settings.strong,
  }
  return { ...about, open: (keys) => open(read(alias, payload), settings, keys) }
}

/** `{key:alias}` names the key, `{secret:…}` a password of the key store, which is not ours to repeat. */
function withoutPrefixes(text: string): { alias: string | undefined; payload: string } {
  const alias = /^(?:\{[^{}]*\})*?\{key:([^{}]+)\}/.exec(text)?.[1]
  return { alias, payload: text.replace(/^(?:\{[^{}]*\})+/, '').trim() }
}

function read(alias: string | undefined, payload: string): SpringValue {
  if (/^(?:[0-9a-fA-F]{2})+$/.test(payload) && payload.length % 32 === 0) {
    throw new LegacyError('unsupported', 'it is encrypted with a symmetric key, not with RSA')
  }
  const bytes = decodeText(payload, 'base64')
  if (bytes === undefined) throw malformed('it is not base64')
  const reader = new ByteReader(bytes)
  return {
    alias,
    wrapped: reader.take(reader.uint16()),
    iv: reader.take(ivBytes),
    body: reader.take(reader.left),
  }
}

function open(value: SpringValue, settings: SpringSettings, keys: PrivateKeys): Uint8Array {
  const { alias, wrapped, iv, body } = value
  if (settings.strong && body.length < gcmTagBytes) throw malformed('it is shorter than the tag at its end')
  if (!settings.strong && (body.length === 0 || body.length % 16 !== 0))
    throw malformed('it is not a number of whole blocks')
  const candidates = keys.candidates(alias)
  if (candidates.length === 0) throw new LegacyError('no_private_key', 'no private key has its key id')
  if (candidates.length > 1 && !settings.strong && settings.algorithm === 'default') {
    throw new LegacyError(
      'unauthenticated',
      'several private keys could be meant, and nothing would tell a wrong one',
    )
  }
  for (const key of candidates) {
    const secret = unwrap(key, wrapped, settings)
    if (secret === undefined) continue
    const aesKey = secret.length === secretBytes ? derive(secret, settings.salt) : undefined
    secret.fill(0)
    if (aesKey === undefined) continue
    const plaintext = settings.strong ? openStrong(aesKey, iv, body) : openCbc(aesKey, iv, body)
    aesKey.fill(0)
    if (plaintext !== undefined) return plaintext
  }
  throw cannotOpen()
}

function unwrap(key: PrivateKey, wrapped: Uint8Array, { algorithm }: SpringSettings): Uint8Array | undefined {
  if (algorithm === 'default') return key.unwrapPkcs1(wrapped)
  return key.unwrapOaep(wrapped, { hash: 'sha1', mgf1Hash: 'sha1', label: new Uint8Array() })
}

/** `AesBytesEncryptor`: the password is the secret in hexadecimal. */
function derive(secret: Uint8Array, salt: string): Buffer {
  const isHex = /^(?:[0-9a-fA-F]{2})+$/.test(salt)
  const password = Buffer.from(Buffer.from(secret).toString('hex'))
  try {
    return pbkdf2Sync(password, Buffer.from(salt, isHex ? 'hex' : 'utf8'), 1024, 32, 'sha1')
  } finally {
    password.fill(0)
  }
}

/** The vector has 16 bytes, not 12. */
function openStrong(key: Uint8Array, iv: Uint8Array, body: Uint8Array): Uint8Array | undefined {
  const end = body.length - gcmTagBytes
  return openGcm({
    key,
    iv,
    ciphertext: body.subarray(0, end),
    tag: body.subarray(end),
    aad: new Uint8Array(),
  })
}
