/** HKDF-Expand (RFC 5869 §2.3) over a prepared HMAC key, which may be shorter than the hash: no Extract step. */

import { concat, u8, wipe } from '../bytes.ts'
import type { Hmac } from './backend-interface.ts'

const nothing = new Uint8Array()

/**
 * The first `length` bytes of T(1) ‖ T(2) ‖ …, T(i) = HMAC(T(i−1) ‖ info ‖ u8(i)).
 *
 * @param info In parts, which are joined.
 */
export function hkdfExpand(hmac: Hmac, info: readonly Uint8Array[], length: number): Uint8Array {
  const blocks: Uint8Array[] = []
  let previous: Uint8Array = nothing
  for (let filled = 0; filled < length; filled += previous.length) {
    previous = hmac.mac(previous, ...info, u8(blocks.length + 1))
    blocks.push(previous)
  }
  const output = concat(...blocks).subarray(0, length)
  wipe(...blocks)
  return output
}
