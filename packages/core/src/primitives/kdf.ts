/** HKDF-Expand (RFC 5869 §2.3) over a prepared HMAC key, which may be shorter than the hash: no Extract step. */

import { u8, wipe } from '../bytes.ts'
import type { Hmac } from './backend-interface.ts'

const nothing = new Uint8Array()

/**
 * The first `length` bytes of T(1) ‖ T(2) ‖ …, T(i) = HMAC(T(i−1) ‖ info ‖ u8(i)).
 *
 * @param info In parts, which are joined.
 */
export function hkdfExpand(hmac: Hmac, info: readonly Uint8Array[], length: number): Uint8Array {
  const output = new Uint8Array(length)
  let block: Uint8Array = nothing
  for (let i = 1, filled = 0; filled < length; i++, filled += block.length) {
    const previous = block
    block = hmac.mac(previous, ...info, u8(i))
    output.set(block.subarray(0, length - filled), filled)
    wipe(previous)
  }
  wipe(block)
  return output
}
