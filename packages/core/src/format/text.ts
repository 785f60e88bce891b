/** The text form of wrapped keys, records and envelopes (SPEC §6). */

import { fromBase64url, toBase64url } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { checkBytes } from '../options.ts'

/**
 * The text form (SPEC §6.6): base64url without padding, one line, no prefix; 4 characters for 3 bytes.
 *
 * @throws LongholdError `bad_input` for what is no Uint8Array.
 */
export function toText(bytes: Uint8Array): string {
  checkBytes(bytes, 'toText: bytes')
  return toBase64url(bytes)
}

/**
 * The bytes of a text form (SPEC §6.6), 3 for 4 characters.
 *
 * @throws LongholdError `bad_text` for padding, white space, another alphabet or unused bits that are set; `bad_input`
 * for what is no string.
 */
export function fromText(text: string): Uint8Array {
  if (typeof text !== 'string') throw badInput('fromText: text must be a string')
  const bytes = fromBase64url(text)
  if (bytes === undefined) throw new LongholdError('bad_text', 'not strict base64url without padding')
  return bytes
}
