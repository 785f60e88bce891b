/** ML-DSA-65 (FIPS 204), verification alone: nothing in core signs. */

import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'

export const mlDsa65PublicKeyBytes = 1952
export const mlDsa65SignatureBytes = 3309

/** Pure, with an empty context (FIPS 204 §5.3). `false` also for what has the length of no key or signature. */
export function verifyMlDsa65(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== mlDsa65PublicKeyBytes || signature.length !== mlDsa65SignatureBytes) return false
  return ml_dsa65.verify(signature, message, publicKey)
}
