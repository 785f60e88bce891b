/**
 * Cobblestone-256: C2SP chunked encryption v1 with HKDF-Expand-SHA-512 and AES-256-GCM (c2sp.org/chunked-encryption
 * at commit 6f65019; SPEC §6). Commits to key and context, and finds truncation and reordering.
 */

import { equalBytes, utf8, wipe } from '../bytes.ts'
import type { Hmac } from './backend-interface.ts'
import { backend } from './backend.ts'
import { hkdfExpand } from './kdf.ts'

export const chunkBytes = 16_384
export const tagBytes = 16
export const saltBytes = 24
export const commitmentBytes = 32
/** Salt and commitment in front of the chunks. */
export const preambleBytes: number = saltBytes + commitmentBytes
const sealedChunkBytes = chunkBytes + tagBytes
const keyBytes = 32
const nonceBytes = 12
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

/** The key, base nonce and commitment of one message, bound to its context (in parts, which are joined). */
export function deriveMessageKey(
  inputKey: Hmac,
  salt: Uint8Array,
  context: readonly Uint8Array[],
): { key: Uint8Array; baseNonce: Uint8Array; commitment: Uint8Array } {
  const derived = hkdfExpand(
    inputKey,
    [infoPrefix, salt, ...context],
    keyBytes + nonceBytes + commitmentBytes,
  )
  return {
    key: derived.subarray(0, keyBytes),
    baseNonce: derived.subarray(keyBytes, keyBytes + nonceBytes),
    commitment: derived.subarray(keyBytes + nonceBytes),
  }
}

/** Base nonce XOR chunk number as a 96-bit big-endian integer. */
export function chunkNonce(baseNonce: Uint8Array, chunk: number): Uint8Array {
  if (!(chunk < chunkLimit)) throw new RangeError(`chunk ${chunk} is not below 2^38`)
  if (chunk === 0) return baseNonce
  const nonce = new Uint8Array(baseNonce)
  const view = new DataView(nonce.buffer)
  // Numbers pass 2^32: two words, no 32-bit shift.
  view.setUint32(4, (view.getUint32(4) ^ Math.floor(chunk / 2 ** 32)) >>> 0)
  view.setUint32(8, (view.getUint32(8) ^ (chunk % 2 ** 32)) >>> 0)
  return nonce
}

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
  const { key, baseNonce, commitment } = deriveMessageKey(inputKey, salt, context)
  const aead = backend().aes256gcm(key)
  out.set(salt)
  out.set(commitment, saltBytes)
  // The last chunk is always short: a plaintext of a whole number of chunks ends with an empty one.
  for (let chunk = 0; chunk * chunkBytes <= plaintext.length; chunk++) {
    const piece = plaintext.subarray(chunk * chunkBytes, (chunk + 1) * chunkBytes)
    const at = preambleBytes + chunk * sealedChunkBytes
    aead.seal(chunkNonce(baseNonce, chunk), piece, nothing, out.subarray(at, at + piece.length + tagBytes))
  }
  wipe(key)
}

/** The whole plaintext once every chunk has been checked, the final one included; `undefined` otherwise. */
export function openBody(
  inputKey: Hmac,
  { context, body }: { context: readonly Uint8Array[]; body: Uint8Array },
): Uint8Array | undefined {
  const length = plaintextLength(body.length)
  if (length === undefined) return undefined
  const salt = body.subarray(0, saltBytes)
  const { key, baseNonce, commitment } = deriveMessageKey(inputKey, salt, context)
  try {
    if (!equalBytes(commitment, body.subarray(saltBytes, preambleBytes))) return undefined
    const aead = backend().aes256gcm(key)
    const plaintext = new Uint8Array(length)
    for (let chunk = 0; chunk * chunkBytes <= length; chunk++) {
      const at = preambleBytes + chunk * sealedChunkBytes
      const piece = body.subarray(at, at + sealedChunkBytes)
      const into = plaintext.subarray(chunk * chunkBytes, chunk * chunkBytes + piece.length - tagBytes)
      if (!aead.open(chunkNonce(baseNonce, chunk), piece, nothing, into)) {
        wipe(plaintext)
        return undefined
      }
    }
    return plaintext
  } finally {
    wipe(key)
  }
}
