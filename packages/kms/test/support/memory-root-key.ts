/** A slot whose secret is in memory. */

import { randomBytes } from 'node:crypto'

import type { Secret } from '@longhold/core'

import { ServiceError } from '../../src/service/errors.ts'
import { open, seal } from '../../src/service/sealing.ts'
import type { SlotOpener } from '../../src/service/slot-opener.ts'

export class MemoryRootKey implements SlotOpener {
  readonly kind = 'key-file'
  readonly #key: Uint8Array = randomBytes(32)

  async seal(root: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    return seal(this.#key, bound, root)
  }

  async open(sealedRoot: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const root = open(this.#key, bound, sealedRoot)
    if (root === undefined) throw new ServiceError('wrong_secret', 'not the secret that sealed it')
    return root
  }

  close(): void {
    this.#key.fill(0)
  }
}
