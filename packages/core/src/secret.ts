/** Secret bytes that do not print themselves and are wiped when done. */

import { copyBytes, wipe } from './bytes.ts'
import { badInput } from './errors.ts'

/**
 * Bytes of a data key, a seed or a shared secret. Strings, JSON and `util.inspect` show `[secret 32 bytes]`;
 * reading goes through a callback, so that every reading is easy to find. Wiping is best effort: see
 * SECURITY.md for what JavaScript cannot promise.
 */
export class Secret {
  #bytes: Uint8Array | undefined
  /** In bytes; stays what it was when they are wiped. */
  readonly length: number

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.length = bytes.length
  }

  /** Owns `bytes` from now on: they are wiped with the secret, and the caller must not use them again. */
  static take(bytes: Uint8Array): Secret {
    return new Secret(bytes)
  }

  /** Keeps a copy; `bytes` stay the caller's. */
  static copyOf(bytes: Uint8Array): Secret {
    return new Secret(copyBytes(bytes))
  }

  /**
   * Lends the bytes to `read` and returns what it returns. They are borrowed: not to be changed or kept.
   *
   * @throws LongholdError `bad_input` after `wipe`.
   */
  use<T>(read: (bytes: Uint8Array) => T): T {
    if (this.#bytes === undefined) throw badInput('this secret was wiped')
    return read(this.#bytes)
  }

  /** Overwrites the bytes; a second call does nothing. */
  wipe(): void {
    if (this.#bytes !== undefined) wipe(this.#bytes)
    this.#bytes = undefined
  }

  /** For `using`: as `wipe`. */
  [Symbol.dispose](): void {
    this.wipe()
  }

  /** `[secret 32 bytes]`, with the length there is: nothing of the bytes. */
  toString(): string {
    return `[secret ${this.length} bytes]`
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString()
  }

  static {
    // The name under which Node, Bun and Deno look for it.
    Object.defineProperty(Secret.prototype, Symbol.for('nodejs.util.inspect.custom'), {
      value(this: Secret): string {
        return this.toString()
      },
    })
  }
}
