/** The payload of an age file (C2SP age.md, "Payload"): ChaCha20-Poly1305 in chunks of 64 KiB, read in constant memory. */

import { createDecipheriv, hkdfSync } from 'node:crypto'

import { cannotOpen, malformed } from './legacy-format.ts'

const chunkBytes = 64 * 1024
const tagBytes = 16
const sealedBytes = chunkBytes + tagBytes
const nonceBytes = 16

/** Plaintext bytes in a payload of so many bytes; may be negative, when it is too short to be one. */
export function agePlaintextBytes(payloadBytes: number): number {
  const sealed = payloadBytes - nonceBytes
  return sealed - Math.ceil(sealed / sealedBytes) * tagBytes
}

export class AgePayload {
  readonly #fileKey: Uint8Array
  #key: Uint8Array | undefined
  #pending = Buffer.alloc(0)
  /** Of the chunk that comes next. */
  #index = 0

  /** @param fileKey 16 bytes. Borrowed until the end. */
  constructor(fileKey: Uint8Array) {
    this.#fileKey = fileKey
  }

  /**
   * @returns The chunks that became whole. Each is authenticated, the end is not before `end`.
   * @throws LegacyError `cannot_open`
   */
  push(piece: Uint8Array): Uint8Array[] {
    let bytes = this.#pending.length === 0 ? asBuffer(piece) : Buffer.concat([this.#pending, piece])
    if (this.#key === undefined && bytes.length >= nonceBytes) {
      const salt = bytes.subarray(0, nonceBytes)
      this.#key = new Uint8Array(hkdfSync('sha256', this.#fileKey, salt, 'payload', 32))
      bytes = bytes.subarray(nonceBytes)
    }
    const opened: Uint8Array[] = []
    // One byte more must be there: the last chunk is sealed in another way.
    while (this.#key !== undefined && bytes.length > sealedBytes) {
      opened.push(this.#open(this.#key, bytes.subarray(0, sealedBytes), false))
      bytes = bytes.subarray(sealedBytes)
    }
    this.#pending = Buffer.from(bytes)
    return opened
  }

  /**
   * @returns The last chunk; empty for an empty file alone.
   * @throws LegacyError `malformed`, `cannot_open`
   */
  end(): Uint8Array {
    if (this.#key === undefined || this.#pending.length < tagBytes) throw malformed('it is cut off')
    const last = this.#open(this.#key, this.#pending, true)
    this.wipe()
    if (last.length === 0 && this.#index > 1) throw malformed('its last part is empty')
    return last
  }

  wipe(): void {
    this.#key?.fill(0)
  }

  #open(key: Uint8Array, sealed: Uint8Array, isLast: boolean): Uint8Array {
    const nonce = Buffer.alloc(12)
    nonce.writeUIntBE(this.#index++, 5, 6)
    nonce[11] = isLast ? 1 : 0
    const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: tagBytes })
    decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
    const plaintext = decipher.update(sealed.subarray(0, sealed.length - tagBytes))
    try {
      decipher.final()
      return plaintext
    } catch {
      plaintext.fill(0)
      throw cannotOpen()
    }
  }
}

function asBuffer({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length)
}
