/**
 * Secrets of tokens that were right before: a client sends the same one with each request, and one hash says so where the
 * HMAC takes two and the pepper. What is kept is a hash under a salt of this process, never the secret; it counts only for
 * the very MAC that the row has.
 */

import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

const maxKnown = 1000

interface Known {
  readonly secretMac: Uint8Array
  /** 32 bytes. */
  readonly digest: Buffer
}

export class KnownSecrets {
  readonly #salt = randomBytes(32).toString('latin1')
  readonly #known = new Map<string, Known>()

  /**
   * Whether `secret` is that of the token, in time that does not depend on where they differ. It is hashed whether or not
   * something is known of the token, and whatever is not known is asked of `isRight`.
   *
   * @param secretMac Of the token's row; undefined: there is none.
   * @param isRight The HMAC and its comparison.
   */
  check(token: string, secret: string, secretMac: Uint8Array | undefined, isRight: () => boolean): boolean {
    const digest = hash('sha256', `${this.#salt}${token}${secret}`, 'buffer')
    const known = this.#known.get(token)
    if (known !== undefined && secretMac !== undefined && Buffer.compare(known.secretMac, secretMac) === 0) {
      if (timingSafeEqual(digest, known.digest)) return true
    }
    if (!isRight()) return false
    if (secretMac !== undefined) this.#keep(token, { secretMac, digest })
    return true
  }

  /** For a service that closes: everything is asked of `isRight` again. */
  forget(): void {
    this.#known.clear()
  }

  #keep(token: string, known: Known): void {
    const [oldest] = this.#known.keys()
    if (this.#known.size >= maxKnown && oldest !== undefined) this.#known.delete(oldest)
    this.#known.set(token, known)
  }
}
