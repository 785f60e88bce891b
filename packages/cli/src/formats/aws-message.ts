/**
 * Messages of the AWS Encryption SDK as bytes (its specification, `data-format/message.md`): a header of version 1 or 2, a
 * body in frames or in one piece, and a footer with the signature where the algorithm suite has one.
 */

import { ByteReader } from './byte-reader.ts'
import { LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'

/** What an algorithm suite means (`framework/algorithm-suites.md`). All are AES-GCM, 12-byte vectors, 16-byte tags. */
export interface AwsSuite {
  /** As reports name it. */
  readonly name: string
  readonly version: 1 | 2
  readonly keyBytes: number
  /** Absent: the data key itself encrypts. */
  readonly kdf?: 'sha256' | 'sha384' | 'sha512'
  readonly signature?: { readonly curve: 'P-256' | 'P-384'; readonly hash: 'sha256' | 'sha384' }
}

const p256 = { curve: 'P-256', hash: 'sha256' } as const
const p384 = { curve: 'P-384', hash: 'sha384' } as const

const suites: Readonly<Record<number, AwsSuite>> = {
  0x0014: { name: 'AES-128-GCM', version: 1, keyBytes: 16 },
  0x0046: { name: 'AES-192-GCM', version: 1, keyBytes: 24 },
  0x0078: { name: 'AES-256-GCM', version: 1, keyBytes: 32 },
  0x0114: { name: 'AES-128-GCM, HKDF', version: 1, keyBytes: 16, kdf: 'sha256' },
  0x0146: { name: 'AES-192-GCM, HKDF', version: 1, keyBytes: 24, kdf: 'sha256' },
  0x0178: { name: 'AES-256-GCM, HKDF', version: 1, keyBytes: 32, kdf: 'sha256' },
  0x0214: { name: 'AES-128-GCM, HKDF, signed', version: 1, keyBytes: 16, kdf: 'sha256', signature: p256 },
  0x0346: { name: 'AES-192-GCM, HKDF, signed', version: 1, keyBytes: 24, kdf: 'sha384', signature: p384 },
  0x0378: { name: 'AES-256-GCM, HKDF, signed', version: 1, keyBytes: 32, kdf: 'sha384', signature: p384 },
  0x0478: { name: 'AES-256-GCM, committing', version: 2, keyBytes: 32, kdf: 'sha512' },
  0x0578: {
    name: 'AES-256-GCM, committing, signed',
    version: 2,
    keyBytes: 32,
    kdf: 'sha512',
    signature: p384,
  },
}

/** One wrapping of the data key. */
export interface AwsWrappedKey {
  /** Of the keyring: the key namespace, or `aws-kms`. */
  readonly provider: string
  /** The key name for a raw RSA keyring; other keyrings put more there. */
  readonly info: string
  readonly wrapped: Uint8Array
}

export interface AwsHeader {
  readonly suite: AwsSuite
  /** Two bytes. */
  readonly suiteId: Uint8Array
  /** 16 bytes in version 1, 32 in version 2. */
  readonly messageId: Uint8Array
  readonly context: ReadonlyMap<string, string>
  readonly wrappedKeys: readonly AwsWrappedKey[]
  /** Undefined: the body is in one piece. */
  readonly frameBytes: number | undefined
  /** 32 bytes; of committing suites. */
  readonly commitment: Uint8Array | undefined
  /** What its tag covers. */
  readonly covered: Uint8Array
  readonly iv: Uint8Array
  readonly tag: Uint8Array
  /** Where the body begins. */
  readonly end: number
}

export interface AwsFrame {
  readonly kind: 'frame' | 'final frame' | 'whole'
  readonly sequence: number
  readonly iv: Uint8Array
  readonly content: Uint8Array
  readonly tag: Uint8Array
}

export interface AwsMessage {
  readonly header: AwsHeader
  readonly frames: readonly AwsFrame[]
  readonly signature: { readonly covered: Uint8Array; readonly bytes: Uint8Array } | undefined
}

/** Version, type and a suite that there is: four bytes, or three. Enough to tell it from other formats. */
export function looksLikeAwsMessage(head: Uint8Array): boolean {
  const [first, second = 0, third = 0, fourth = 0] = head
  if (first === 1) return second === 0x80 && suites[third * 256 + fourth]?.version === 1
  return first === 2 && head.length > 39 && suites[second * 256 + third]?.version === 2
}

/** @throws LegacyError `malformed`, `limit_exceeded` */
export function readAwsMessage(bytes: Uint8Array): AwsMessage {
  const header = readAwsHeader(bytes)
  const reader = new ByteReader(bytes, header.end)
  const frames = header.frameBytes === undefined ? [readWhole(reader)] : readFrames(reader, header.frameBytes)
  const covered = bytes.subarray(0, reader.at)
  const signature =
    header.suite.signature === undefined ? undefined : { covered, bytes: reader.take(reader.uint16()) }
  if (reader.left > 0) throw malformed('bytes follow its end')
  return { header, frames, signature }
}

/** @throws LegacyError `malformed`, `unsupported` */
export function readAwsHeader(bytes: Uint8Array): AwsHeader {
  const reader = new ByteReader(bytes)
  const version = reader.uint8()
  if (version === 1 && reader.uint8() !== 0x80) throw malformed('it is no message for a customer')
  const suiteId = reader.take(2)
  const suite = suites[(suiteId[0] ?? 0) * 256 + (suiteId[1] ?? 0)]
  if (suite?.version !== version) throw new LegacyError('unsupported', 'its algorithm suite is not read')
  const messageId = reader.take(version === 1 ? 16 : 32)
  const context = readContext(reader.take(reader.uint16()))
  const wrappedKeys = readWrappedKeys(reader)
  const contentType = reader.uint8()
  if (contentType !== 1 && contentType !== 2) throw malformed('its content type is neither 1 nor 2')
  if (version === 1) {
    if (reader.uint32() !== 0) throw malformed('reserved bytes are not zero')
    if (reader.uint8() !== 12) throw malformed('its vectors have not 12 bytes')
  }
  const frameBytes = reader.uint32()
  if ((contentType === 2) !== frameBytes > 0)
    throw malformed('its frame length does not fit its content type')
  const commitment = version === 2 ? reader.take(32) : undefined
  const covered = bytes.subarray(0, reader.at)
  const iv = version === 1 ? reader.take(12) : new Uint8Array(12)
  const tag = reader.take(16)
  return {
    suite,
    suiteId,
    messageId,
    context,
    wrappedKeys,
    frameBytes: contentType === 2 ? frameBytes : undefined,
    commitment,
    covered,
    iv,
    tag,
    end: reader.at,
  }
}

function readContext(bytes: Uint8Array): Map<string, string> {
  const context = new Map<string, string>()
  if (bytes.length === 0) return context
  const reader = new ByteReader(bytes)
  for (let count = reader.uint16(); count > 0; count--) {
    const name = text(reader.take(reader.uint16()))
    if (context.has(name)) throw malformed('its encryption context names a key twice')
    context.set(name, text(reader.take(reader.uint16())))
  }
  if (reader.left > 0) throw malformed('bytes follow its encryption context')
  return context
}

function readWrappedKeys(reader: ByteReader): AwsWrappedKey[] {
  const keys: AwsWrappedKey[] = []
  for (let count = reader.uint16(); count > 0; count--) {
    const provider = text(reader.take(reader.uint16()))
    // Keyrings of other kinds have bytes there.
    const info = new TextDecoder().decode(reader.take(reader.uint16()))
    keys.push({ provider, info, wrapped: reader.take(reader.uint16()) })
  }
  if (keys.length === 0) throw malformed('it has no wrapped data key')
  return keys
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw malformed('a text in its header is not UTF-8')
  }
}

function readWhole(reader: ByteReader): AwsFrame {
  const iv = reader.take(12)
  const length = reader.uint64()
  if (length > maxPlaintextBytes) throw tooLarge()
  return { kind: 'whole', sequence: 1, iv, content: reader.take(length), tag: reader.take(16) }
}

const finalMark = 0xffff_ffff

function readFrames(reader: ByteReader, frameBytes: number): AwsFrame[] {
  const frames: AwsFrame[] = []
  let bytes = 0
  for (let sequence = 1; ; sequence++) {
    const mark = reader.uint32()
    const isFinal = mark === finalMark
    if ((isFinal ? reader.uint32() : mark) !== sequence) throw malformed('its frames are not in order')
    const iv = reader.take(12)
    const length = isFinal ? reader.uint32() : frameBytes
    if (length > frameBytes) throw malformed('its last frame is longer than a frame')
    bytes += length
    if (bytes > maxPlaintextBytes) throw tooLarge()
    const kind = isFinal ? 'final frame' : 'frame'
    frames.push({ kind, sequence, iv, content: reader.take(length), tag: reader.take(16) })
    if (isFinal) return frames
  }
}
