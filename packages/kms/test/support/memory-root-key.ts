/** A slot whose secret is in memory. */

import { randomBytes } from 'node:crypto'

import type { Secret } from '@longhold/core'

import { ServiceError } from '../../src/service/errors.ts'
import type { RootKey } from '../../src/service/root-key.ts'
import { open, seal } from '../../src/service/sealing.ts'

export class MemoryRootKey implements RootKey {
  readonly kind = 'memory'
  readonly #key: Uint8Array = randomBytes(32)

  async seal(root: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    return seal(this.#key, bound, root)
  }

  async open(sealedRoot: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const root = open(this.#key, bound, sealedRoot)
    if (root === undefined) throw new ServiceError('wrong_key_file', 'not the secret that sealed it')
    return root
  }

  close(): void {
    this.#key.fill(0)
  }
}
