/** What an encrypted column holds on this side of the driver. */

import type { Descriptor } from './descriptor.ts'

/** Reads what the class keeps private, for the files of this folder. */
let contentOf: (encrypted: Encrypted<unknown>) => EncryptedContent

export interface EncryptedContent {
  readonly column: Descriptor
  /** As in the database: a record, or what is still in the old form. */
  readonly stored: Uint8Array | string
  /** Made by `enc.row`, and so to be written; otherwise it was read. */
  readonly isNew: boolean
}

/**
 * An encrypted value of type `T`: what a select returns for an encrypted column, whether or not its data key is at hand,
 * and what an insert takes. `enc.open` turns rows with such values into plain ones, `enc.row` the other way. It shows
 * nothing of itself in strings, JSON and `inspect`.
 */
export class Encrypted<T> {
  /** Of types only; there is no such member. */
  declare readonly '~plaintext': T
  readonly #content: EncryptedContent

  constructor(content: EncryptedContent) {
    this.#content = content
  }

  /** `[encrypted]`: nothing of the value. */
  toString(): string {
    return '[encrypted]'
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString()
  }

  static {
    contentOf = (encrypted) => encrypted.#content
    // The name under which Node, Bun and Deno look for it.
    Object.defineProperty(Encrypted.prototype, Symbol.for('nodejs.util.inspect.custom'), {
      value(this: Encrypted<unknown>): string {
        return this.toString()
      },
    })
  }
}

/** For the files of this folder: the package does not export it. */
export function encryptedContent(encrypted: Encrypted<unknown>): EncryptedContent {
  return contentOf(encrypted)
}

/** What a blind index column holds: 2 to 32 bytes, ⌈bits / 8⌉ (SPEC §8). */
export type BlindIndexBytes = Uint8Array & { readonly '~blindIndex': true }
