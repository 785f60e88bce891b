/** Whether a backend can do all that is asked of it. Browsers, which have the portable one alone, get none of this. */

import { equalBytes, toHex } from '../bytes.ts'
import type { Backend, HashName } from './backend-interface.ts'

/**
 * Whether `candidate` can do all that is asked of it, and refuses what it must refuse (SPEC §1.3), tried out on
 * fixed keys: costs about a millisecond.
 */
export function roundTrips(candidate: Backend): boolean {
  const key = new Uint8Array(32).fill(7)
  const message = new Uint8Array(48).fill(9)
  try {
    const { mlKem768, x25519 } = candidate
    const pq = mlKem768.decapsulationKey(new Uint8Array(64).fill(5))
    const { sharedSecret, ciphertext } = mlKem768.encapsulationKey(pq.publicKey).encapsulate()
    if (!equalBytes(pq.decapsulate(ciphertext), sharedSecret)) return false
    if (!refuses(() => mlKem768.encapsulationKey(new Uint8Array(1184).fill(255)))) return false

    const ours = x25519.ephemeral()
    const theirs = x25519.privateKey(key)
    const agreed = ours.agree(x25519.publicKey(theirs.publicKey))
    if (!equalBytes(agreed, theirs.agree(x25519.publicKey(ours.publicKey)))) return false
    const lowOrder = x25519.publicKey(new Uint8Array(32))
    if (!refuses(() => x25519.checkPublicKey(lowOrder))) return false
    if (!refuses(() => theirs.agree(lowOrder))) return false

    const nonce = new Uint8Array(12)
    const sealed = new Uint8Array(message.length + 16)
    const aead = candidate.aes256gcm(key)
    aead.seal(nonce, message, key, sealed)
    const opened = new Uint8Array(message.length)
    if (!equalBytes(aead.open(nonce, sealed, key) ?? key, message)) return false
    if (!aead.openInto(nonce, sealed, key, opened) || !equalBytes(opened, message)) return false
    sealed[0] = ~(sealed[0] ?? 0)
    if (aead.open(nonce, sealed, key) !== undefined) return false
    if (aead.openInto(nonce, sealed, key, opened)) return false

    return (
      Object.entries(hmacBeginnings).every(([hash, beginning]) => {
        const mac = candidate.hmac(hash as HashName, key).mac(message) // the names of the table
        return toHex(mac.subarray(0, 8)) === beginning
      }) &&
      candidate.sha256(message).length === 32 &&
      candidate.sha3_256(message).length === 32 &&
      candidate.shake256(message, 96).length === 96
    )
  } catch {
    return false // a missing algorithm throws; the portable backend has them all
  }
}

/** Of 48 bytes of 9 under 32 bytes of 7. Keys are derived by HMAC: with a wrong one all would seem well until another
 *  backend reads what was written. */
const hmacBeginnings: Readonly<Record<HashName, string>> = {
  sha256: '85eef9b953c48e77',
  sha384: 'c25b70910b6ac030',
  sha512: '19151eb0aefc1f73',
}

function refuses(attempt: () => unknown): boolean {
  try {
    attempt()
    return false
  } catch {
    return true
  }
}
