/**
 * What the Amazon S3 encryption clients keep beside the bytes of an object: its metadata or, in an object of its own, an
 * instruction file. Three versions (amazon-s3-encryption-client, `data-format/content-metadata.md`), by which names are there.
 */

import { parseStrictObject } from '../json-text.ts'
import { decodeText } from './encodings.ts'
import { LegacyError, malformed } from './legacy-format.ts'

export type S3Metadata = Readonly<Record<string, string>>

export type S3Wrapping = 'pkcs1' | 'oaep-sha1 pseudo-key' | 'oaep-sha256'

export interface S3Facts {
  readonly version: 1 | 2 | 3
  readonly wrappedKey: Uint8Array
  readonly wrapping: S3Wrapping
  readonly cipher: 'cbc' | 'gcm'
  /** Of version 3 the message id, 28 bytes. */
  readonly iv: Uint8Array
  /** 28 bytes; of version 3. */
  readonly commitment: Uint8Array | undefined
  readonly plaintextBytes: number | undefined
  /** Of the plaintext: old clients kept it, and nothing else tells with CBC. */
  readonly md5: Uint8Array | undefined
  /** The material description, which names the key by pairs of the owner's choice. */
  readonly description: S3Metadata
}

/** Names in lower case, without the store's `x-amz-meta-`. */
export function plainNames(metadata: Readonly<Record<string, unknown>>): S3Metadata {
  const plain = new Map<string, string>()
  for (const [name, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') continue
    const bare = name.toLowerCase().replace(/^x-amz-meta-/, '')
    if (plain.has(bare) && plain.get(bare) !== value) throw malformed(`metadata names ${bare} twice`)
    plain.set(bare, value)
  }
  return Object.fromEntries(plain)
}

/** The version whose wrapped key is there; one with an instruction file has none of these names in version 1 and 2. */
export function isS3Encrypted(metadata: S3Metadata): boolean {
  return wrappedKeyNames.some((name) => Object.hasOwn(metadata, name)) || Object.hasOwn(metadata, 'x-amz-c')
}

/** By default the clients keep the instruction file of `a/b` at `a/b.instruction`. */
export const instructionSuffix = '.instruction'

/** An instruction file is no object to re-encrypt. */
export function isInstructionFile(metadata: S3Metadata): boolean {
  return Object.hasOwn(metadata, 'x-amz-crypto-instr-file')
}

/**
 * What an object's own metadata and its instruction file say together.
 *
 * @throws LegacyError `malformed` when they contradict each other, or it is no such file.
 */
export function withInstructions(metadata: S3Metadata, file: Uint8Array | string): S3Metadata {
  let members: Readonly<Record<string, unknown>>
  try {
    members = parseStrictObject(typeof file === 'string' ? file : new TextDecoder().decode(file))
  } catch {
    throw malformed('its instruction file is no JSON object')
  }
  const instructions = plainNames(members)
  for (const [name, value] of Object.entries(instructions)) {
    if (Object.hasOwn(metadata, name) && metadata[name] !== value)
      throw malformed(`its metadata and its instruction file both have ${name}`)
  }
  return { ...metadata, ...instructions }
}

const wrappedKeyNames = ['x-amz-key', 'x-amz-key-v2', 'x-amz-3'] as const
const gcmName = 'AES/GCM/NoPadding'
const cbcName = 'AES/CBC/PKCS5Padding'

/** The names by which a pseudo-key may name the body's cipher. */
export function cipherNames({ version, cipher }: S3Facts): readonly string[] {
  if (version === 3) return [gcmName, '115']
  return [cipher === 'gcm' ? gcmName : cbcName]
}

/** @throws LegacyError `malformed`, `unsupported` */
export function readS3Metadata(metadata: S3Metadata): S3Facts {
  const present = wrappedKeyNames.filter((name) => Object.hasOwn(metadata, name))
  const [keyName] = present
  if (keyName === undefined) throw malformed('its wrapped key is missing: is there an instruction file?')
  if (present.length > 1) throw malformed('its metadata is of two versions at once')
  const version = keyName === 'x-amz-key' ? 1 : keyName === 'x-amz-key-v2' ? 2 : 3
  const wrappedKey = bytesOf(metadata, keyName)
  const common = {
    wrappedKey,
    plaintextBytes: lengthOf(metadata['x-amz-unencrypted-content-length']),
    md5: Object.hasOwn(metadata, 'x-amz-unencrypted-content-md5')
      ? bytesOf(metadata, 'x-amz-unencrypted-content-md5', 16)
      : undefined,
    description: descriptionOf(metadata[version === 3 ? 'x-amz-m' : 'x-amz-matdesc']),
  }
  if (version === 3) {
    if (metadata['x-amz-c'] !== '115') throw unsupported('content cipher of version 3', metadata['x-amz-c'])
    if (metadata['x-amz-w'] !== '22') throw unsupported('key wrapping of version 3', metadata['x-amz-w'])
    return {
      ...common,
      version,
      wrapping: 'oaep-sha1 pseudo-key',
      cipher: 'gcm',
      iv: bytesOf(metadata, 'x-amz-i', 28),
      commitment: bytesOf(metadata, 'x-amz-d', 28),
    }
  }
  const cipher = cipherOf(metadata['x-amz-cek-alg'], version)
  if (cipher === 'gcm' && (metadata['x-amz-tag-len'] ?? '128') !== '128')
    throw malformed('its tag has not 128 bits')
  return {
    ...common,
    version,
    wrapping: wrappingOf(metadata['x-amz-wrap-alg'], wrappedKey),
    cipher,
    iv: bytesOf(metadata, 'x-amz-iv', cipher === 'gcm' ? 12 : 16),
    commitment: undefined,
  }
}

function cipherOf(name: string | undefined, version: 1 | 2): 'cbc' | 'gcm' {
  if (name === undefined || name === cbcName) return 'cbc'
  if (name === gcmName && version === 2) return 'gcm'
  throw unsupported('content cipher', name)
}

/** Version 1 says nothing: then a symmetric key would leave at most 48 bytes. */
function wrappingOf(name: string | undefined, wrappedKey: Uint8Array): S3Wrapping {
  if (name === 'RSA-OAEP-SHA1') return 'oaep-sha1 pseudo-key'
  if (name === 'RSA/ECB/OAEPWithSHA-256AndMGF1Padding') return 'oaep-sha256'
  if (name === 'RSA' || name === 'RSA/ECB/PKCS1Padding') return 'pkcs1'
  if (name === undefined && wrappedKey.length > 48) return 'pkcs1'
  throw unsupported('key wrapping', name ?? 'AES')
}

function bytesOf(metadata: S3Metadata, name: string, length?: number): Uint8Array {
  const bytes = decodeText(metadata[name] ?? '', 'base64')
  if (bytes === undefined || bytes.length === 0) throw malformed(`${name} is missing or not base64`)
  if (length !== undefined && bytes.length !== length) throw malformed(`${name} has not ${length} bytes`)
  return bytes
}

function lengthOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw malformed('x-amz-unencrypted-content-length is no number')
  return Number(text)
}

/** Whatever is not JSON of texts names no key: it protects nothing. */
function descriptionOf(text: string | undefined): S3Metadata {
  try {
    return text === undefined ? {} : plainTexts(parseStrictObject(text))
  } catch {
    return {}
  }
}

function plainTexts(members: Readonly<Record<string, unknown>>): S3Metadata {
  return Object.fromEntries(
    Object.entries(members).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  )
}

function unsupported(what: string, name: string | undefined): LegacyError {
  const shown = name !== undefined && /^[\w+/-]{1,48}$/.test(name) ? name : 'of no name'
  return new LegacyError('unsupported', `${what} ${shown} is not read`)
}
