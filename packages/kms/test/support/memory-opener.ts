/** A slot whose secret is in memory. */

import { randomBytes } from 'node:crypto'

import type { Secret } from '@longhold/core'

import { ServiceError } from '../../src/service/errors.ts'
import { open, seal } from '../../src/service/sealing.ts'
import type { SlotOpener } from '../../src/service/slot-opener.ts'

export class MemoryOpener implements SlotOpener {
  readonly kind = 'key-file'
  readonly #key: Uint8Array = randomBytes(32)

  async seal(slotSecret: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    return seal(this.#key, bound, slotSecret)
  }

  async open(sealed: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const slotSecret = open(this.#key, bound, sealed)
    if (slotSecret === undefined) throw new ServiceError('wrong_secret', 'not the secret that sealed it')
    return slotSecret
  }

  close(): void {
    this.#key.fill(0)
  }
}
