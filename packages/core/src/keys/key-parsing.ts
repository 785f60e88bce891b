/** From text to keys: the entry most applications begin with. */

import { LocalIdentity } from './identity.ts'
import { decodeIdentity, decodeRecipient } from './key-text.ts'
import { PublicKeyRecipient } from './recipient.ts'

/** A new identity of the default suite: a random seed of 32 bytes and the recipient that belongs to it. */
export function generateIdentity(): LocalIdentity {
  return LocalIdentity.generate()
}

/**
 * @param text `LONGHOLD-IDENTITY-1-…`, exactly: case counts, surrounding white space is refused.
 * @throws LongholdError `bad_text`, `unsupported`, `bad_key`; no message repeats the text.
 */
export function parseIdentity(text: string): LocalIdentity {
  const { suite, key } = decodeIdentity(text)
  try {
    return LocalIdentity.fromSeed(key, suite.kemId)
  } finally {
    key.fill(0)
  }
}

/**
 * @param text `lhrecipient1-…`, exactly.
 * @throws LongholdError `bad_text`, `unsupported`, `bad_key`.
 */
export function parseRecipient(text: string): PublicKeyRecipient {
  const { suite, key } = decodeRecipient(text)
  return PublicKeyRecipient.fromPublicKey(suite.kemId, key)
}
