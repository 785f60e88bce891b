/**
 * A slot that is another key service: it opens by that service's `unwrap`, under its policy and in its audit log.
 * Where the other one is and with which token it is asked is configured, never read from the database: whoever writes
 * there would otherwise have the token sent to himself.
 */

import { createHash, hkdfSync } from 'node:crypto'

import { concat, DataKey, LongholdError, toHex, unwrapDataKey, wrapDataKey } from '@longhold/core'
import type { Secret } from '@longhold/core'
import { KmsIdentity, kmsRecipient } from '@longhold/core/kms'
import type { KmsClient } from '@longhold/core/kms'

import { ServiceError } from '../service/errors.ts'
import { framed } from '../service/framing.ts'
import { open, seal } from '../service/sealing.ts'
import type { SlotOpener } from '../service/slot-opener.ts'

const lengthBytes = 4

/** Sealed: length of the wrapped key (4), wrapped key (SPEC §5), and what is sealed under the data key in it. */
export class OtherKeyService implements SlotOpener {
  readonly kind = 'key-service'
  readonly #client: KmsClient
  readonly #key: string
  #isClosed = false

  /**
   * @param client Its token needs the permissions `wrap`, to make the slot, and `unwrap`, to open it.
   * @param key The name of a key of the other service.
   */
  constructor(client: KmsClient, key: string) {
    this.#client = client
    this.#key = key
  }

  async seal(slotSecret: Uint8Array, bound: Uint8Array): Promise<Uint8Array> {
    const dataKey = DataKey.generate()
    try {
      const recipient = await this.#ask(() => kmsRecipient(this.#client, this.#key))
      const wrappedKey = await wrapDataKey(dataKey, {
        recipients: [recipient],
        keyContext: keyContext(bound),
      })
      const head = concat(lengthOf(wrappedKey), wrappedKey)
      return withKey(dataKey, (key) => concat(head, seal(key, framed(head, bound), slotSecret)))
    } finally {
      dataKey.wipe()
    }
  }

  async open(sealed: Uint8Array, bound: Uint8Array): Promise<Secret> {
    const { head, wrappedKey, sealed: inner } = divide(sealed)
    const identities = [new KmsIdentity(this.#client, { keys: [this.#key] })]
    const dataKey = await this.#ask(() =>
      unwrapDataKey(wrappedKey, { identities, keyContext: keyContext(bound) }),
    )
    try {
      const slotSecret = withKey(dataKey, (key) => open(key, framed(head, bound), inner))
      if (slotSecret !== undefined) return slotSecret
    } finally {
      dataKey.wipe()
    }
    throw this.#wrong()
  }

  close(): void {
    this.#isClosed = true
  }

  async #ask<T>(step: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new Error('this slot was closed')
    try {
      return await step()
    } catch (error) {
      if (!(error instanceof LongholdError)) throw error
      if (error.code !== 'unavailable' && error.code !== 'bad_input') throw this.#wrong()
      const hint = error.hint === undefined ? {} : { hint: error.hint }
      throw new ServiceError('slot_unavailable', `the slot of another key service: ${error.message}`, hint)
    }
  }

  #wrong(): ServiceError {
    return new ServiceError(
      'wrong_secret',
      `the key ${this.#key} of the key service at ${this.#client.url} does not open the root key`,
      { hint: 'is it the service and the key this slot was made with? nothing was changed' },
    )
  }
}

/** In the other service's log: what for, and which slot of which cluster. */
function keyContext(bound: Uint8Array): Record<string, string> {
  return { purpose: 'longhold-kms-slot', slot: toHex(createHash('sha256').update(bound).digest()) }
}

function withKey<T>(dataKey: DataKey, use: (key: Uint8Array) => T): T {
  const key = dataKey.use(
    (bytes) =>
      new Uint8Array(hkdfSync('sha256', bytes, new Uint8Array(0), 'longhold/kms/v1/key-service', 32)),
  )
  try {
    return use(key)
  } finally {
    key.fill(0)
  }
}

function lengthOf({ length }: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  new DataView(bytes.buffer).setUint32(0, length)
  return bytes
}

function divide(row: Uint8Array) {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength)
  const headBytes = row.length < lengthBytes ? Infinity : lengthBytes + view.getUint32(0)
  if (row.length < headBytes) {
    throw new ServiceError('wrong_secret', 'the row of this slot is not what this service wrote', {
      hint: 'use another slot, keep the database for examination and restore a backup',
    })
  }
  return {
    head: row.slice(0, headBytes),
    wrappedKey: row.slice(lengthBytes, headBytes),
    sealed: row.subarray(headBytes),
  }
}
