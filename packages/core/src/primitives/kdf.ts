/** HKDF-Expand (RFC 5869 §2.3) over a prepared HMAC key, which may be shorter than the hash: no Extract step. */

import { concat, u8 } from '../bytes.ts'
import type { Hmac } from './backend-interface.ts'

/** The first `length` bytes of T(1) ‖ T(2) ‖ …, T(i) = HMAC(T(i−1) ‖ info ‖ u8(i)). */
export function hkdfExpand(hmac: Hmac, info: Uint8Array, length: number): Uint8Array {
  let block = hmac(concat(info, u8(1)))
  if (block.length >= length) return block.subarray(0, length)
  const blocks = [block]
  for (let filled = block.length; filled < length; filled += block.length) {
    block = hmac(concat(block, info, u8(blocks.length + 1)))
    blocks.push(block)
  }
  return concat(...blocks).subarray(0, length)
}
