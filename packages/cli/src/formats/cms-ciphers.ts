/** Decrypts the content of a CMS message, in pieces or in one. */

import { createDecipheriv } from 'node:crypto'
import type { CipherGCMTypes, CipherCCMTypes, Decipheriv, DecipherGCM } from 'node:crypto'

import type { ContentCipher } from './cms-algorithms.ts'

/** AES-GCM, or a block cipher in CBC mode. What `update` gives is not checked before `final`. */
export class BodyDecipher {
  readonly #decipher: Decipheriv | DecipherGCM
  /** The last bytes that came, where the tag is at their end. */
  #held: Buffer | undefined
  readonly #tagBytes: number

  /**
   * @param options.isTagAtEnd The tag is the last bytes of the ciphertext: some writers put AES-GCM into EnvelopedData so.
   * @throws Error When node:crypto does not know the cipher, or for another mode.
   */
  constructor(
    cipher: ContentCipher,
    key: Uint8Array,
    { aad, isTagAtEnd }: { aad: Uint8Array; isTagAtEnd: boolean },
  ) {
    const { name, mode, iv, tagBytes } = cipher
    this.#tagBytes = tagBytes
    if (mode === 'cbc') this.#decipher = createDecipheriv(name, key, iv)
    else if (mode === 'gcm') {
      // Named so in the table of algorithms.
      const decipher = createDecipheriv(name as CipherGCMTypes, key, iv, { authTagLength: tagBytes })
      if (aad.length > 0) decipher.setAAD(aad)
      if (isTagAtEnd) this.#held = Buffer.alloc(0)
      this.#decipher = decipher
    } else throw new RangeError(`${mode} does not go in pieces`)
  }

  update(piece: Uint8Array): Buffer {
    if (this.#held === undefined) return this.#decipher.update(piece)
    const all = Buffer.concat([this.#held, piece])
    const end = Math.max(0, all.length - this.#tagBytes)
    this.#held = all.subarray(end)
    return this.#decipher.update(all.subarray(0, end))
  }

  /** @returns The last bytes; undefined when tag or padding do not fit. */
  final(mac: Uint8Array | undefined): Buffer | undefined {
    const tag = this.#held ?? mac
    try {
      if ('setAuthTag' in this.#decipher && this.#tagBytes > 0) {
        if (tag?.length !== this.#tagBytes) return undefined
        this.#decipher.setAuthTag(tag)
      }
      return this.#decipher.final()
    } catch {
      return undefined
    }
  }
}

/** AES-CCM, which wants to know the length first. @returns Undefined when the tag does not fit. */
export function openCcm(
  { name, iv, tagBytes }: ContentCipher,
  key: Uint8Array,
  { ciphertext, mac, aad }: { ciphertext: Uint8Array; mac: Uint8Array; aad: Uint8Array },
): Buffer | undefined {
  if (mac.length !== tagBytes) return undefined
  // Named so in the table of algorithms.
  const decipher = createDecipheriv(name as CipherCCMTypes, key, iv, { authTagLength: tagBytes })
  try {
    decipher.setAuthTag(mac)
    if (aad.length > 0) decipher.setAAD(aad, { plaintextLength: ciphertext.length })
    const plaintext = decipher.update(ciphertext)
    decipher.final()
    return plaintext
  } catch {
    return undefined
  }
}
