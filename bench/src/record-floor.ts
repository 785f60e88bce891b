/**
 * The floor under a record: the calls of Cobblestone-256 (two blocks of HMAC-SHA-512 over as many bytes, AES-256-GCM for each
 * chunk, a share of the random bytes that salts are drawn from), bare, over buffers that are already there. It writes no
 * record, reads no context and wipes nothing.
 */

import { randomBytes } from 'node:crypto'

import { canonicalContext } from '../../packages/core/src/index.ts'
import { openChunk, sealChunk } from './chunk-floor.ts'
import { bareHmac } from './floor.ts'
import { recordContext, type RecordPeer } from './peers/record-peer.ts'

const chunkBytes = 16_384
/** Prefix of the construction, salt, label and key id. */
const infoBytes = 48 + 24 + 17 + 16
/** Random bytes are drawn so many at a time. */
const poolBytes = 4096
const saltBytes = 24

export const recordFloor: RecordPeer = {
  name: 'floor: the bare node:crypto calls',
  kind: 'floor',
  library: 'none',
  async prepare(plaintext) {
    // What the HMAC runs over besides the block before it.
    const hmacBytes = infoBytes + canonicalContext(recordContext).length
    const first = bareHmac('sha512', hmacBytes + 1)
    const second = bareHmac('sha512', 64 + hmacBytes + 1)
    const key = randomBytes(32)
    const nonce = randomBytes(12)
    // A plaintext of a whole number of chunks ends with an empty one.
    const pieces = Array.from({ length: Math.floor(plaintext.length / chunkBytes) + 1 }, (_, i) =>
      plaintext.subarray(i * chunkBytes, (i + 1) * chunkBytes),
    )
    const sealed = pieces.map((piece) => sealChunk(key, nonce, piece))
    const recordBytes = 4 + 16 + 24 + 32 + plaintext.length + 16 * pieces.length
    const pool = new Uint8Array(poolBytes)
    let salts = 0
    const drawSalt = () => {
      if (salts === 0) crypto.getRandomValues(pool)
      salts = (salts + 1) % Math.floor(poolBytes / saltBytes)
    }
    return {
      encrypt: () => [drawSalt(), first(), second(), pieces.map((piece) => sealChunk(key, nonce, piece))],
      decrypt: () => [first(), second(), sealed.map((chunk) => openChunk(key, nonce, chunk))],
      recordBytes,
    }
  },
}
