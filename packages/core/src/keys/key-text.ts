/** Recipients and identities as text (SPEC §7). The prefixes serve secret scanners and people. */

import { concat, equalBytes, fromBase64url, readU16, toBase64url, u16, utf8 } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { backend } from '../primitives/backend.ts'
import type { Suite, SuiteTable } from './suite.ts'

export const recipientPrefix = 'lhrecipient1-'
export const identityPrefix = 'LONGHOLD-IDENTITY-1-'
const checkBytes = 4

export function formatRecipient(kemId: number, publicKey: Uint8Array): string {
  return format(recipientPrefix, kemId, publicKey)
}

export function formatIdentity(kemId: number, seed: Uint8Array): string {
  return format(identityPrefix, kemId, seed)
}

/** @throws LongholdError `bad_text`, or `unsupported` for another KEM under a right check. */
export function decodeRecipient(text: string, suites: SuiteTable): { suite: Suite; key: Uint8Array } {
  return decode(text, suites, recipientPrefix, 'recipient', (suite) => suite.kem.publicKeyBytes)
}

/** @throws LongholdError `bad_text`, or `unsupported` for another KEM under a right check. */
export function decodeIdentity(text: string, suites: SuiteTable): { suite: Suite; key: Uint8Array } {
  return decode(text, suites, identityPrefix, 'identity', (suite) => suite.kem.seedBytes)
}

function format(prefix: string, kemId: number, key: Uint8Array): string {
  const bytes = concat(u16(kemId), key)
  return prefix + toBase64url(concat(bytes, check(prefix, bytes)))
}

function decode(
  text: string,
  suites: SuiteTable,
  prefix: string,
  what: string,
  keyBytes: (suite: Suite) => number,
): { suite: Suite; key: Uint8Array } {
  if (typeof text !== 'string') throw badInput(`the ${what} must be a string`)
  // No message repeats the text: it may be a secret, or a secret pasted in the wrong place.
  if (!text.startsWith(prefix)) {
    throw new LongholdError(
      'bad_text',
      `not a longhold ${what}: it does not begin with ${prefix}`,
      hintFor(text, what),
    )
  }
  const bytes = fromBase64url(text.slice(prefix.length))
  if (bytes === undefined || bytes.length < 2 + checkBytes) {
    throw new LongholdError(
      'bad_text',
      `the ${what} is not strict base64url, or cut short`,
      text.trim() === text ? undefined : whiteSpace,
    )
  }
  const checked = bytes.subarray(0, bytes.length - checkBytes)
  if (!equalBytes(check(prefix, checked), bytes.subarray(checked.length))) {
    throw new LongholdError('bad_text', `the check of the ${what} is wrong: it was mistyped or altered`)
  }
  const kemId = readU16(checked, 0)
  const suite = suites.ofKem(kemId)
  if (suite === undefined) {
    throw new LongholdError(
      'unsupported',
      `the ${what} is of a suite that is not among those in use (KEM 0x${kemId.toString(16)})`,
      { hint: 'name the suites to be used in the option "suites"' },
    )
  }
  const key = checked.subarray(2)
  if (key.length !== keyBytes(suite)) {
    throw new LongholdError(
      'bad_text',
      `the ${what} has ${key.length} bytes of key where the suite has ${keyBytes(suite)}`,
    )
  }
  return { suite, key }
}

/** First 4 bytes of SHA-256(prefix ‖ bytes). */
function check(prefix: string, bytes: Uint8Array): Uint8Array {
  return backend()
    .sha256(concat(utf8(prefix), bytes))
    .subarray(0, checkBytes)
}

const whiteSpace = { hint: 'remove the white space around it, a newline at the end of a file too' }

function hintFor(text: string, wanted: string): { hint: string } | undefined {
  if (wanted === 'recipient' && text.startsWith(identityPrefix)) {
    return { hint: 'this is an identity, which is secret; pass its recipient instead' }
  }
  if (wanted === 'identity' && text.startsWith(recipientPrefix))
    return { hint: 'this is a recipient; it can only encrypt' }
  if (wanted === 'identity' && text.trimStart().startsWith('-----BEGIN LONGHOLD PROTECTED IDENTITY'))
    return { hint: 'it is under a passphrase: openProtectedIdentities of @longhold/core/passphrase opens it' }
  if (text.trim() !== text) return whiteSpace
  return undefined
}
