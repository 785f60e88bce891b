/**
 * Cobblestone-256: C2SP chunked encryption v1 with HKDF-Expand-SHA-512 and AES-256-GCM (c2sp.org/chunked-encryption
 * at commit 6f65019; SPEC §6). Commits to key and context, and finds truncation and reordering.
 */

import { concat, equalBytes, utf8, wipe } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import type { AeadKey, Hmac } from './backend-interface.ts'
import { backend } from './backend.ts'

export const chunkBytes = 16_384
export const tagBytes = 16
export const saltBytes = 24
export const commitmentBytes = 32
/** Salt and commitment in front of the chunks. */
export const preambleBytes: number = saltBytes + commitmentBytes
/** A full chunk with its tag. */
export const sealedChunkBytes: number = chunkBytes + tagBytes
const keyBytes = 32
const nonceBytes = 12
/** Key, base nonce and commitment take 76 bytes: two whole blocks of HKDF-Expand-SHA-512, so that none is cut. */
const derivedBytes = 128
/** Chunk numbers stay below this (2^38). */
const chunkLimit = 2 ** 38

const infoPrefix = utf8('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0')
const nothing = new Uint8Array()

/** Bytes of the body that holds `length` bytes of plaintext. */
export function bodyLength(length: number): number {
  return preambleBytes + length + tagBytes * (Math.floor(length / chunkBytes) + 1)
}

/** Bytes of plaintext in a body of `length` bytes; `undefined` when no body has that length. */
export function plaintextLength(length: number): number | undefined {
  const sealed = length - preambleBytes
  const last = sealed % sealedChunkBytes
  if (sealed < tagBytes || last < tagBytes) return undefined
  return Math.floor(sealed / sealedChunkBytes) * chunkBytes + last - tagBytes
}

/** Where a chunk begins in its body. */
export function chunkOffset(chunk: number): number {
  return preambleBytes + chunk * sealedChunkBytes
}

/** What one message is sealed with. */
export interface MessageKey {
  readonly key: Uint8Array
  readonly baseNonce: Uint8Array
  readonly commitment: Uint8Array
  /** The nonce of the chunk at hand. */
  readonly nonce: Uint8Array
  /** Key, base nonce and commitment with what is not needed, as they are derived. */
  readonly derived: Uint8Array
  /** All of it, to be wiped. */
  readonly memory: Uint8Array
}

/** Message keys that were wiped, for the next message: making the views costs half as much as an HMAC. */
const spareKeys: MessageKey[] = []
const maxSpareKeys = 16

function newMessageKey(): MessageKey {
  const memory = new Uint8Array(derivedBytes + nonceBytes)
  const commitmentAt = keyBytes + nonceBytes
  return {
    key: memory.subarray(0, keyBytes),
    baseNonce: memory.subarray(keyBytes, commitmentAt),
    commitment: memory.subarray(commitmentAt, commitmentAt + commitmentBytes),
    nonce: memory.subarray(derivedBytes),
    derived: memory.subarray(0, derivedBytes),
    memory,
  }
}

/** The key, base nonce and commitment of one message, bound to its context (in parts, which are joined). */
export function deriveMessageKey(
  inputKey: Hmac,
  salt: Uint8Array,
  context: readonly Uint8Array[],
): MessageKey {
  const messageKey = spareKeys.pop() ?? newMessageKey()
  inputKey.expandInto(messageKey.derived, [infoPrefix, salt, ...context])
  return messageKey
}

/** Once for each key, and by nobody who uses it afterwards: it may be the next message's. */
function giveBack(messageKey: MessageKey): void {
  wipe(messageKey.memory)
  if (spareKeys.length < maxSpareKeys) spareKeys.push(messageKey)
}

/** Base nonce XOR chunk number as a 96-bit big-endian integer, written into `nonce` where there is one. */
export function chunkNonce(
  baseNonce: Uint8Array,
  chunk: number,
  nonce: Uint8Array = new Uint8Array(nonceBytes),
): Uint8Array {
  if (!(chunk < chunkLimit)) throw new LongholdError('limit_exceeded', `chunk ${chunk} is not below 2^38`)
  nonce.set(baseNonce)
  // Numbers pass 2^32: division, no shift.
  for (let i = nonceBytes - 1, rest = chunk; rest > 0; i--, rest = Math.floor(rest / 256)) {
    nonce[i] = (nonce[i] ?? 0) ^ (rest % 256)
  }
  return nonce
}

/** The chunks of one message: sealed and opened in any order, each under the nonce of its number. */
export class MessageCipher {
  readonly #salt: Uint8Array
  #messageKey: MessageKey | undefined
  readonly #aead: AeadKey

  constructor(inputKey: Hmac, salt: Uint8Array, context: readonly Uint8Array[]) {
    this.#salt = salt
    this.#messageKey = deriveMessageKey(inputKey, salt, context)
    this.#aead = backend().aes256gcm(this.#messageKey.key)
  }

  /** For a message that begins with `preamble`; `undefined` when key or context are not those it commits to. */
  static open(
    inputKey: Hmac,
    preamble: Uint8Array,
    context: readonly Uint8Array[],
  ): MessageCipher | undefined {
    const cipher = new MessageCipher(inputKey, preamble.subarray(0, saltBytes), context)
    if (equalBytes(inUse(cipher.#messageKey).commitment, preamble.subarray(saltBytes))) return cipher
    cipher.wipe()
    return undefined
  }

  /** Salt ‖ commitment, 56 bytes. */
  get preamble(): Uint8Array {
    return concat(this.#salt, inUse(this.#messageKey).commitment)
  }

  /** Writes the sealed chunk into `out`, which has room for exactly 16 bytes more than the piece. */
  sealChunk(chunk: number, piece: Uint8Array, out: Uint8Array): void {
    this.#aead.seal(nonceOf(inUse(this.#messageKey), chunk), piece, nothing, out)
  }

  /** The chunk's plaintext in memory of its own; `undefined` when its tag is wrong. */
  openChunk(chunk: number, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    return this.#aead.open(nonceOf(inUse(this.#messageKey), chunk), sealed, nothing)
  }

  /** Whole chunks, `first` and those that follow it, into `out`, which has room for exactly 16 bytes more for each. */
  sealChunks(first: number, pieces: Uint8Array, out: Uint8Array): void {
    for (let i = 0; i * chunkBytes < pieces.length; i++) {
      const piece = pieces.subarray(i * chunkBytes, (i + 1) * chunkBytes)
      this.sealChunk(first + i, piece, out.subarray(i * sealedChunkBytes, (i + 1) * sealedChunkBytes))
    }
  }

  /**
   * The plaintext of chunks from `first` on, joined in `out`, which has room for it: 16 bytes less for each.
   *
   * @returns How many chunks were opened: fewer than there are when a tag was wrong, and nothing is written behind them. (Not
   *   bytes: a last chunk may have none, and a tag all the same.)
   */
  openChunksInto(first: number, sealed: Uint8Array, out: Uint8Array): number {
    return openChunksInto(this.#aead, inUse(this.#messageKey), first, sealed, out)
  }

  /** The plaintext of chunks from `first` on, joined; `undefined` when the tag of one of them is wrong. */
  openChunks(first: number, sealed: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    return openChunks(this.#aead, inUse(this.#messageKey), first, sealed)
  }

  /** Forgets the message key. Best effort. */
  wipe(): void {
    if (this.#messageKey !== undefined) giveBack(this.#messageKey)
    this.#messageKey = undefined
    this.#aead.wipe()
  }
}

/** Throws once the message was wiped: a key of zeros, or another message's, would go on sealing. */
function inUse(messageKey: MessageKey | undefined): MessageKey {
  if (messageKey === undefined) throw badInput('the key of this message was wiped')
  return messageKey
}

function nonceOf({ baseNonce, nonce }: MessageKey, chunk: number): Uint8Array {
  return chunkNonce(baseNonce, chunk, nonce)
}

function openChunksInto(
  aead: AeadKey,
  messageKey: MessageKey,
  first: number,
  sealed: Uint8Array,
  out: Uint8Array,
): number {
  const count = Math.ceil(sealed.length / sealedChunkBytes)
  for (let i = 0; i < count; i++) {
    const chunk = sealed.subarray(i * sealedChunkBytes, (i + 1) * sealedChunkBytes)
    const into = out.subarray(i * chunkBytes, (i + 1) * chunkBytes)
    if (!aead.openInto(nonceOf(messageKey, first + i), chunk, nothing, into)) return i
  }
  return count
}

function openChunks(
  aead: AeadKey,
  messageKey: MessageKey,
  first: number,
  sealed: Uint8Array,
): Uint8Array<ArrayBuffer> | undefined {
  if (sealed.length <= sealedChunkBytes) return aead.open(nonceOf(messageKey, first), sealed, nothing)
  const count = Math.ceil(sealed.length / sealedChunkBytes)
  const plaintext = new Uint8Array(sealed.length - count * tagBytes)
  if (openChunksInto(aead, messageKey, first, sealed, plaintext) === count) return plaintext
  wipe(plaintext)
  return undefined
}

// A whole body needs no MessageCipher. A major collection forgets the shape of objects of which none is left, and with it the
// optimised code of all who make them: records would start anew after each.

/** Writes the body into `out`, which has room for exactly `bodyLength(plaintext.length)` bytes. */
export function sealBody(
  inputKey: Hmac,
  {
    salt,
    context,
    plaintext,
    out,
  }: { salt: Uint8Array; context: readonly Uint8Array[]; plaintext: Uint8Array; out: Uint8Array },
): void {
  const messageKey = deriveMessageKey(inputKey, salt, context)
  try {
    // Whoever reads the context may run code of the caller's.
    if (out.length !== bodyLength(plaintext.length)) throw badInput('the plaintext changed meanwhile')
    const aead = backend().aes256gcm(messageKey.key)
    out.set(salt)
    out.set(messageKey.commitment, saltBytes)
    // The last chunk is always short: a plaintext of a whole number of chunks ends with an empty one.
    for (let chunk = 0; chunk * chunkBytes <= plaintext.length; chunk++) {
      const piece =
        plaintext.length < chunkBytes
          ? plaintext
          : plaintext.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes)
      const at = chunkOffset(chunk)
      aead.seal(nonceOf(messageKey, chunk), piece, nothing, out.subarray(at, at + piece.length + tagBytes))
    }
  } finally {
    giveBack(messageKey)
  }
}

/** The whole plaintext once every chunk has been checked, the final one included; `undefined` otherwise. */
export function openBody(
  inputKey: Hmac,
  { context, body }: { context: readonly Uint8Array[]; body: Uint8Array },
): Uint8Array<ArrayBuffer> | undefined {
  if (plaintextLength(body.length) === undefined) return undefined
  const messageKey = deriveMessageKey(inputKey, body.subarray(0, saltBytes), context)
  try {
    const aead = backend().aes256gcm(messageKey.key)
    if (!equalBytes(messageKey.commitment, body.subarray(saltBytes, preambleBytes))) return undefined
    return openChunks(aead, messageKey, 0, body.subarray(preambleBytes))
  } finally {
    giveBack(messageKey)
  }
}
