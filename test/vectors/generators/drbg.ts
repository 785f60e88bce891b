/** Bytes that look random and are the same in every run, from a label: SHA-256(label ‖ 0x00 ‖ u32(counter)), joined. */

import { createHash } from 'node:crypto'

export class Drbg {
  readonly #label: string
  #counter = 0

  constructor(label: string) {
    this.#label = label
  }

  bytes(length: number): Uint8Array {
    const blocks: Uint8Array[] = []
    for (let filled = 0; filled < length; filled += 32) {
      const counter = Buffer.alloc(4)
      counter.writeUInt32BE(this.#counter++)
      blocks.push(createHash('sha256').update(`longhold vectors ${this.#label}\0`).update(counter).digest())
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, length))
  }
}
