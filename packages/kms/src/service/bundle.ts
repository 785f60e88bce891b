/** Public keys as the service vouches for them: who wraps for one knows that this service gave it to him, and when. */

import { concat } from '@longhold/core'

import type { PublicKey } from './keys.ts'
import type { Signer } from './signing.ts'

/**
 * Signs name asked for, key, version, generation, recipient text, recipient ids (16 bytes each, one after the other), and
 * both times in milliseconds since 1970: fields with their lengths in front, and none that could be written in two ways.
 * The name is what the caller asked for, an alias perhaps: an answer to another question is none.
 *
 * @returns 3,309 bytes, ML-DSA-65 under the label `longhold/kms/v1/bundle` (see `Signer`).
 */
export function signBundle(signer: Signer, name: string, bundle: PublicKey): Uint8Array {
  const { key, version, generation, recipient, recipientIds, issuedAt, notAfter } = bundle
  const ids = concat(...recipientIds)
  return signer.sign('bundle', name, key, version, generation, recipient.toString(), ids, issuedAt, notAfter)
}
