/**
 * EME-OAEP decoding (RFC 8017 §7.1.2, step 3) with a hash for the label and another for MGF1, which node:crypto cannot
 * be told. Branches and memory accesses do not depend on the encoded message until all checks are joined, as
 * far as JavaScript can promise that: a difference would be Manger's oracle.
 */

import { hash } from 'node:crypto'

import type { OaepHash, OaepParameters } from '../formats/legacy-format.ts'

export const hashBytes: Readonly<Record<OaepHash, number>> = {
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
}

/**
 * @param encoded The result of the RSA operation, as long as the modulus. Wiped.
 * @returns The message, or undefined when anything is wrong with it.
 */
export function decodeOaep(
  encoded: Uint8Array,
  { hash: hashName, mgf1Hash, label }: OaepParameters,
): Uint8Array | undefined {
  const size = hashBytes[hashName]
  if (encoded.length < 2 * size + 2) return undefined
  const seed = encoded.subarray(1, 1 + size)
  const block = encoded.subarray(1 + size)
  applyMask(seed, block, mgf1Hash)
  applyMask(block, seed, mgf1Hash)

  const labelHash = digest(hashName, label)
  let wrong = encoded[0] ?? 0
  for (let i = 0; i < size; i++) wrong |= (block[i] ?? 0) ^ (labelHash[i] ?? 0)
  // Zeros, then a one, then the message: `start` is the place after the first byte that is not zero.
  let start = 0
  let isBefore = 1
  for (let i = size; i < block.length; i++) {
    const byte = block[i] ?? 0
    const isZero = ((byte - 1) >>> 31) & 1
    const isOne = (((byte ^ 1) - 1) >>> 31) & 1
    wrong |= isBefore & ~(isZero | isOne) & 1
    start |= (isBefore & ~isZero & 1) * (i + 1)
    isBefore &= isZero
  }
  wrong |= isBefore
  const message = wrong === 0 ? Uint8Array.from(block.subarray(start)) : undefined
  encoded.fill(0)
  return message
}

/** XORs MGF1(seed) (RFC 8017 §B.2.1) into `target`. */
function applyMask(target: Uint8Array, seed: Uint8Array, mgf1Hash: OaepHash): void {
  const input = new Uint8Array(seed.length + 4)
  input.set(seed)
  const size = hashBytes[mgf1Hash]
  for (let counter = 0, at = 0; at < target.length; counter++, at += size) {
    // At most 2^14 / 160 rounds for the largest RSA key: the counter's lowest two bytes are enough.
    input[seed.length + 2] = counter >>> 8
    input[seed.length + 3] = counter
    const mask = digest(mgf1Hash, input)
    const end = Math.min(size, target.length - at)
    for (let i = 0; i < end; i++) target[at + i] = (target[at + i] ?? 0) ^ (mask[i] ?? 0)
  }
  input.fill(0)
}

function digest(name: OaepHash, bytes: Uint8Array): Uint8Array {
  return hash(name, bytes, 'buffer')
}
