/** From text to keys: the entry most applications begin with. */

import { checkOptions } from '../options.ts'
import { LocalIdentity } from './identity.ts'
import { decodeIdentity, decodeRecipient } from './key-text.ts'
import { PublicKeyRecipient } from './recipient.ts'
import { suiteTable } from './suite.ts'
import type { Suite, SuitesOption } from './suite.ts'

/**
 * A new identity, of the default suite unless said otherwise: a random seed of 32 bytes and its recipient (SPEC §1).
 *
 * @throws LongholdError `bad_input` for what is no suite.
 */
export function generateIdentity(options: { readonly suite?: Suite } = {}): LocalIdentity {
  checkOptions(options, ['suite'], 'generateIdentity')
  return LocalIdentity.generate(options.suite)
}

/**
 * The identity of an identity text (SPEC §7).
 *
 * @param text `LONGHOLD-IDENTITY-1-…`, exactly: case counts, surrounding white space is refused.
 * @throws LongholdError `bad_text`, `unsupported`, `bad_key`; no message repeats the text.
 */
export function parseIdentity(text: string, options: SuitesOption = {}): LocalIdentity {
  checkOptions(options, ['suites'], 'parseIdentity')
  const { suite, key } = decodeIdentity(text, suiteTable(options.suites))
  try {
    return LocalIdentity.fromSeed(key, suite.kemId, options)
  } finally {
    key.fill(0)
  }
}

/**
 * The recipient of a recipient text (SPEC §7), its public key checked (SPEC §1.3).
 *
 * @param text `lhrecipient1-…`, exactly.
 * @throws LongholdError `bad_text`, `unsupported`, `bad_key`.
 */
export function parseRecipient(text: string, options: SuitesOption = {}): PublicKeyRecipient {
  checkOptions(options, ['suites'], 'parseRecipient')
  const { suite, key } = decodeRecipient(text, suiteTable(options.suites))
  return PublicKeyRecipient.fromPublicKey(suite.kemId, key, options)
}
