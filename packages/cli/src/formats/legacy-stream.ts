/**
 * What the engine asks of a format whose values are whole objects, files of a tree or of an object store, of any size:
 * read from front to end once, in constant memory. What fits into memory is read by `LegacyFormat`.
 */

import type { PrivateKeys } from './legacy-format.ts'

/** The first bytes of an object that a format may want to see: 256 KiB, or the whole object when it is shorter. */
export const headBytes = 256 * 1024

/** What is known of an object besides its bytes. */
export interface ObjectFacts {
  /** Path below the root of the tree, or key in the store. Untrusted text. */
  readonly name: string
  /** What an object store keeps beside the bytes: names in lower case, without the store's prefix. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** One layout of RSA-wrapped data that comes as objects. Holds no state of an object. */
export interface LegacyStreamFormat {
  /** As reports and dead letters name it. */
  readonly name: string
  /**
   * Says whether an object is of this format, without a key. One that is, but broken, is recognised: what is wrong
   * with it is told by `open`.
   *
   * @param head The first `headBytes` of it, or all of it. Borrowed: read during the call, not kept.
   */
  recognize(head: Uint8Array, about: ObjectFacts): LegacyStream | undefined
}

/** One object of a format. */
export interface LegacyStream {
  /** The name of the RSA key, when the object carries one. Untrusted text. */
  readonly keyId: string | undefined
  /** How the data key is wrapped, say `RSA-OAEP sha256`. */
  readonly wrapping: string
  /** How the body is encrypted, say `aes-256-gcm`. */
  readonly body: string
  /** False when the body has no tag or MAC: a wrong key then yields garbage instead of an error. */
  readonly isAuthenticated: boolean
  /**
   * Unwraps the data key and decrypts the body while it is read.
   *
   * The pieces are not checked before the end: whoever takes them gives nothing of them on before the last one came
   * without an error, and throws all of them away otherwise.
   *
   * @param source The whole object from its first byte, in pieces of any size, which stay as they are once they
   *   were given. Ended early (`return`) on an error. What it throws is passed on.
   * @param keys Borrowed for the time of the reading.
   * @returns The plaintext, in pieces that the taker owns. Read once.
   * @throws LegacyError While it is read.
   */
  open(source: AsyncIterable<Uint8Array>, keys: PrivateKeys): AsyncIterable<Uint8Array>
}
