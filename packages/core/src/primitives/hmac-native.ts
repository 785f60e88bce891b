/** HMAC with node:crypto (RFC 2104 §2): two calls of the one-shot hash cost half as much as one `createHmac`. */

import type * as NodeCrypto from 'node:crypto'

import { wipe } from '../bytes.ts'
import type { HashName, Hmac } from './backend-interface.ts'

const blockBytes = { sha256: 64, sha384: 128, sha512: 128 } as const
const digestBytes = { sha256: 32, sha384: 48, sha512: 64 } as const

/** What stands in front of the message, and in front of the inner digest with room for that. */
interface KeyedPads {
  readonly inner: Uint8Array
  readonly outer: Buffer
}
/** Pads that were wiped, for the next HMAC under the hash: new memory costs as much as hashing does. */
const sparePads: Readonly<Record<HashName, KeyedPads[]>> = { sha256: [], sha384: [], sha512: [] }
const maxSparePads = 16

/** Where inputs of the hash are joined, one at a time, and wiped; a header with one recipient is a long one. */
const scratch = new Uint8Array(2048)

function takePads(crypto: typeof NodeCrypto, hash: HashName): KeyedPads {
  const block = blockBytes[hash]
  return (
    sparePads[hash].pop() ?? {
      inner: new Uint8Array(block),
      // A Buffer, which takes strings, whatever globals there are; what is in it is overwritten.
      outer: crypto.randomBytes(block + digestBytes[hash]),
    }
  )
}

/** HMAC under a key of any length, which is not kept. */
export function hmacFrom(crypto: typeof NodeCrypto, hash: HashName, key: Uint8Array): Hmac {
  const block = blockBytes[hash]
  const digest = digestBytes[hash]
  let pads: KeyedPads | undefined = takePads(crypto, hash)
  const short = key.length > block ? crypto.hash(hash, key, 'buffer') : key
  for (let i = 0; i < block; i++) {
    const byte = short[i] ?? 0
    pads.inner[i] = byte ^ 0x36
    pads.outer[i] = byte ^ 0x5c
  }

  /** Of `input`, which begins with the inner pad. */
  function finish({ outer }: KeyedPads, input: Uint8Array): Uint8Array {
    // As a string the inner digest costs half of what a Buffer does. Without the key it is of no use to anybody.
    outer.write(crypto.hash(hash, input, 'latin1'), block, 'latin1')
    return crypto.hash(hash, outer, 'buffer')
  }

  return {
    mac(...message) {
      const keyed = inUse(pads)
      const end = block + lengthOf(message)
      const input = roomFor(end)
      input.set(keyed.inner)
      joinInto(input, block, message)
      const mac = finish(keyed, input.subarray(0, end))
      input.fill(0, 0, end)
      keyed.outer.fill(0, block)
      return mac
    },
    expandInto(output, info) {
      const keyed = inUse(pads)
      // All inputs end alike, and are joined once: pad, the block before, info, number. Nothing stands before the first
      // block, so its pad begins later.
      const end = block + digest + lengthOf(info)
      const input = roomFor(end + 1)
      joinInto(input, block + digest, info)
      input.set(keyed.inner, digest)
      for (let i = 1, filled = 0; filled < output.length; i++, filled += digest) {
        input[end] = i
        const mac = finish(keyed, input.subarray(i === 1 ? digest : 0, end + 1))
        const left = output.length - filled
        output.set(left < digest ? mac.subarray(0, left) : mac, filled)
        input.set(keyed.inner)
        input.set(mac, block)
        wipe(mac)
      }
      input.fill(0, 0, end)
      keyed.outer.fill(0, block)
    },
    wipe() {
      if (pads === undefined) return
      wipe(pads.inner, pads.outer)
      if (sparePads[hash].length < maxSparePads) sparePads[hash].push(pads)
      pads = undefined
    },
  }
}

function inUse(pads: KeyedPads | undefined): KeyedPads {
  if (pads === undefined) throw new Error('this HMAC was wiped')
  return pads
}

function roomFor(length: number): Uint8Array {
  return length > scratch.length ? new Uint8Array(length) : scratch
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0
  for (const part of parts) length += part.length
  return length
}

function joinInto(target: Uint8Array, offset: number, parts: readonly Uint8Array[]): void {
  let at = offset
  for (const part of parts) {
    target.set(part, at)
    at += part.length
  }
}
