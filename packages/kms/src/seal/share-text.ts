/**
 * A share as text, for paper and password managers: `LONGHOLD-SHARE-1-`, then base64url of
 *
 *     set id (8) ‖ threshold (1) ‖ index (1) ‖ share (32) ‖ check (4)
 *
 * The check is the first 4 bytes of SHA-256(prefix ‖ what is in front of it): it finds a slip of the pen, as in the
 * texts of identities (SPEC §7). Whether a share is the right one, the row of its slot says.
 */

import { createHash } from 'node:crypto'

import { concat, equalBytes, fromBase64url, toBase64url, utf8 } from '@longhold/core'

import { ServiceError } from '../service/errors.ts'

export const sharePrefix = 'LONGHOLD-SHARE-1-'
export const setIdBytes = 8
/** Of the secret that is shared, and so of each share. */
export const shareSecretBytes = 32
const checkBytes = 4
const textBytes = setIdBytes + 1 + 1 + shareSecretBytes + checkBytes

/** One share of a set. `value` is secret. */
export interface Share {
  /** 8 bytes, the same for all shares of a set. */
  readonly setId: Uint8Array
  /** How many shares open. */
  readonly threshold: number
  /** 1 to 255, each once in a set. */
  readonly index: number
  /** 32 bytes. */
  readonly value: Uint8Array
}

export function formatShare({ setId, threshold, index, value }: Share): string {
  const bytes = concat(setId, Uint8Array.of(threshold, index), value)
  const checked = concat(bytes, check(bytes))
  try {
    return sharePrefix + toBase64url(checked)
  } finally {
    bytes.fill(0)
    checked.fill(0)
  }
}

/**
 * The caller wipes its `value`.
 *
 * @throws ServiceError `wrong_secret`; the message repeats nothing of the text.
 */
export function parseShare(text: string): Share {
  const trimmed = text.trim()
  if (!trimmed.startsWith(sharePrefix)) throw notShare(`it does not begin with ${sharePrefix}`)
  const bytes = fromBase64url(trimmed.slice(sharePrefix.length))
  if (bytes?.length !== textBytes) throw notShare('it is cut short, or has letters that no share has')
  const body = bytes.subarray(0, textBytes - checkBytes)
  if (!equalBytes(check(body), bytes.subarray(body.length))) {
    throw notShare('its check is wrong: it was mistyped or altered')
  }
  const setId = body.slice(0, setIdBytes)
  const [threshold = 0, index = 0] = body.subarray(setIdBytes, setIdBytes + 2)
  const value = body.slice(setIdBytes + 2)
  bytes.fill(0)
  if (threshold < 2 || index === 0) throw notShare('it names a threshold or an index that no share has')
  return { setId, threshold, index, value }
}

function check(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(utf8(sharePrefix)).update(bytes).digest().subarray(0, checkBytes)
}

function notShare(why: string): ServiceError {
  return new ServiceError('wrong_secret', `this is no share of a root key: ${why}`, {
    hint: 'copy it whole, as it was handed out',
  })
}
