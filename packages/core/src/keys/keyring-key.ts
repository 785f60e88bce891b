/**
 * How a keyring tells the data keys it made from those that somebody put into its store who knows no more than a public
 * key (SPEC §12.1).
 */

import { concat, equalBytes, fromBase64url, lp16, toBase64url, utf8 } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { backend } from '../primitives/backend.ts'
import { hkdfExpand } from '../primitives/kdf.ts'
import { hmacOf } from './data-key.ts'
import type { DataKey } from './data-key.ts'
import type { StoredDataKey } from './wrapped-key-store.ts'

const [markLabel, keyLabel, tagLabel] = [
  utf8('longhold/v1/mark'),
  utf8('longhold/v1/vouch'),
  utf8('longhold/v1/vouch\0'),
]
const markBytes = 32

/** What is vouched for, besides the data key itself. */
export type Vouched = Pick<StoredDataKey, 'name' | 'keyContext' | 'createdAt'>

/** Names a keyring key, and no other that anybody could make: for the configuration of those who use it. */
export function referenceOf(dataKey: DataKey): string {
  return toBase64url(concat(dataKey.keyId, markOf(dataKey)))
}

/** A keyring key by its reference, opened when it is first needed. */
export class KeyringKey {
  readonly #keyId: Uint8Array
  readonly #mark: Uint8Array
  readonly #load: (keyId: Uint8Array) => Promise<DataKey>
  #tagKey: Promise<Uint8Array> | undefined

  /** @throws LongholdError `bad_input` for a text that is no reference. */
  constructor(reference: string, load: (keyId: Uint8Array) => Promise<DataKey>) {
    const bytes = typeof reference === 'string' ? fromBase64url(reference) : undefined
    if (bytes?.length !== keyIdBytes + markBytes)
      throw badInput('keyringKey: not a reference', 'makeKeyringKey gives one, of 64 characters')
    this.#keyId = bytes.subarray(0, keyIdBytes)
    this.#mark = bytes.subarray(keyIdBytes)
    this.#load = load
  }

  /** The tag of a data key. */
  async tagOf(dataKey: DataKey, { name, keyContext, createdAt }: Vouched): Promise<Uint8Array> {
    this.#tagKey ??= this.#open()
    let tagKey: Uint8Array
    try {
      tagKey = await this.#tagKey
    } catch (error) {
      this.#tagKey = undefined // another time it may go well
      throw error
    }
    const at = new DataView(new ArrayBuffer(8))
    at.setBigUint64(0, BigInt(createdAt.getTime()))
    const hmac = backend().hmac('sha256', tagKey)
    const tag = hmac.mac(
      tagLabel,
      dataKey.keyId,
      markOf(dataKey),
      new Uint8Array(at.buffer),
      lp16(utf8(name)),
      canonicalize(keyContext).bytes,
    )
    hmac.wipe()
    return tag
  }

  /** Whether a data key has the tag it must have. */
  async accepts(dataKey: DataKey, stored: StoredDataKey): Promise<boolean> {
    return stored.tag !== undefined && equalBytes(stored.tag, await this.tagOf(dataKey, stored))
  }

  /** Forgets the key; it would be opened again. */
  wipe(): void {
    this.#tagKey?.then(
      (tagKey) => tagKey.fill(0),
      () => undefined,
    )
    this.#tagKey = undefined
  }

  async #open(): Promise<Uint8Array> {
    const dataKey = await this.#load(this.#keyId)
    try {
      if (!equalBytes(markOf(dataKey), this.#mark)) throw cannotOpen()
      return hkdfExpand(hmacOf(dataKey), [keyLabel], 32)
    } finally {
      dataKey.wipe()
    }
  }
}

/** Of a data key that is not vouched for: to be told from one that opens wrongly, which is `cannot_open`. */
export function notVouched(id: string): LongholdError {
  return new LongholdError('no_data_key', `the keyring key does not vouch for data key ${id}`, {
    hint: 'somebody else stored it, or before there was a keyring key: if it can be trusted, vouchFor takes it in',
  })
}

function markOf(dataKey: DataKey): Uint8Array {
  return hkdfExpand(hmacOf(dataKey), [markLabel], markBytes)
}
