/** Fernet tokens (its specification, version 0x80): a time, AES-128-CBC, HMAC-SHA256 over all before it. */

import { createHmac, timingSafeEqual } from 'node:crypto'

import { openCbc } from './aes.ts'
import { malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'

export interface FernetToken {
  readonly covered: Uint8Array
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  readonly mac: Uint8Array
}

/** What every token begins with. */
export const fernetVersion = 0x80

const headBytes = 1 + 8 + 16
const macBytes = 32

/** @throws LegacyError `malformed`, `limit_exceeded` */
export function readFernet(token: Uint8Array): FernetToken {
  const end = token.length - macBytes
  if (token[0] !== fernetVersion || end < headBytes + 16 || (end - headBytes) % 16 !== 0)
    throw malformed('it is no Fernet token')
  if (end - headBytes > maxPlaintextBytes + 16) throw tooLarge()
  return {
    covered: token.subarray(0, end),
    iv: token.subarray(9, headBytes),
    ciphertext: token.subarray(headBytes, end),
    mac: token.subarray(end),
  }
}

/** @param key 32 bytes: 16 to sign, 16 to encrypt. Any other length opens nothing. */
export function openFernet(
  key: Uint8Array,
  { covered, iv, ciphertext, mac }: FernetToken,
): Uint8Array | undefined {
  if (key.length !== 32) return undefined
  const expected = createHmac('sha256', key.subarray(0, 16)).update(covered).digest()
  return timingSafeEqual(expected, mac) ? openCbc(key.subarray(16), iv, ciphertext) : undefined
}
