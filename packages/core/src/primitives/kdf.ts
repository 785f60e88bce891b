/** HKDF-Expand (RFC 5869 §2.3) over a prepared HMAC key, which may be shorter than the hash: no Extract step. */

import { wipe } from '../bytes.ts'
import type { Hmac } from './backend-interface.ts'

const nothing = new Uint8Array()
/** The number of a block, as one byte. */
const counter = new Uint8Array(1)

/**
 * The first `length` bytes of T(1) ‖ T(2) ‖ …, T(i) = HMAC(T(i−1) ‖ info ‖ u8(i)).
 *
 * @param info In parts, which are joined.
 */
export function hkdfExpand(hmac: Hmac, info: readonly Uint8Array[], length: number): Uint8Array {
  const output = new Uint8Array(length)
  hmac.expandInto(output, info)
  return output
}

/** `Hmac.expandInto`, for a backend that has no quicker way. */
export function expandByMac(mac: Hmac['mac'], output: Uint8Array, info: readonly Uint8Array[]): void {
  let block: Uint8Array = nothing
  for (let i = 1, filled = 0; filled < output.length; i++, filled += block.length) {
    const previous = block
    counter[0] = i
    block = mac(previous, ...info, counter)
    const left = output.length - filled
    output.set(block.length > left ? block.subarray(0, left) : block, filled)
    previous.fill(0)
  }
  wipe(block)
}
