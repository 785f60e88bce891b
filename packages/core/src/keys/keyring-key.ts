/**
 * How a keyring tells the data keys it made from those that somebody put into its store who knows no more than a public
 * key (SPEC §12.1). Apart from the keyring, so that who does not use it does not ship it.
 */

import { concat, equalBytes, fromBase64url, lp16, toBase64url, utf8 } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { canonicalize } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { backend } from '../primitives/backend.ts'
import { hkdfExpand } from '../primitives/kdf.ts'
import { hmacOf } from './data-key.ts'
import type { DataKey } from './data-key.ts'
import { unwrapStored } from './keyring-parts.ts'
import type { KeyringParts, Vouched, Voucher } from './keyring-parts.ts'
import type { StoredDataKey } from './wrapped-key-store.ts'

const [markLabel, keyLabel, tagLabel] = [
  utf8('longhold/v1/mark'),
  utf8('longhold/v1/vouch'),
  utf8('longhold/v1/vouch\0'),
]
const markBytes = 32

/** Reads what the class keeps private, for this file alone. */
let partsOf: (reference: KeyringKey) => { keyId: Uint8Array; mark: Uint8Array }

/** Names a keyring key (SPEC §12.1), and no other that anybody could make. Not secret. */
export class KeyringKey {
  readonly #keyId: Uint8Array
  readonly #mark: Uint8Array

  /** See `parseKeyringKey`. */
  constructor(keyId: Uint8Array, mark: Uint8Array) {
    this.#keyId = keyId
    this.#mark = mark
  }

  /** For keyrings, which call it. Throws nothing. */
  open(parts: KeyringParts): Voucher {
    return new OpenedKeyringKey(this, parts)
  }

  /** Its 64 characters. */
  toString(): string {
    return toBase64url(concat(this.#keyId, this.#mark))
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString()
  }

  static {
    partsOf = (reference) => ({ keyId: reference.#keyId, mark: reference.#mark })
  }
}

/**
 * A keyring key from its reference (SPEC §12.1), for the option `keyringKey` of `openKeyring`.
 *
 * @param text What `makeKeyringKey` gave: 64 characters.
 * @throws LongholdError `bad_text` for what is no reference, `bad_input` for what is no string.
 */
export function parseKeyringKey(text: string): KeyringKey {
  if (typeof text !== 'string') throw badInput('parseKeyringKey: text must be a string')
  const bytes = fromBase64url(text)
  if (bytes?.length !== keyIdBytes + markBytes)
    throw new LongholdError('bad_text', 'not a reference of a keyring key, which has 64 characters')
  return new KeyringKey(bytes.subarray(0, keyIdBytes), bytes.subarray(keyIdBytes))
}

// What follows is for the library's own files: the package does not export it.

/** The reference of a keyring key. */
export function referenceTo(dataKey: DataKey): KeyringKey {
  return new KeyringKey(dataKey.keyId, markOf(dataKey))
}

/** Opened when it is first needed. */
class OpenedKeyringKey implements Voucher {
  readonly #reference: KeyringKey
  readonly #parts: KeyringParts
  #tagKey: Promise<Uint8Array> | undefined

  constructor(reference: KeyringKey, parts: KeyringParts) {
    this.#reference = reference
    this.#parts = parts
  }

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

  async accepts(dataKey: DataKey, stored: StoredDataKey): Promise<boolean> {
    return stored.tag !== undefined && equalBytes(stored.tag, await this.tagOf(dataKey, stored))
  }

  wipe(): void {
    this.#tagKey?.then(
      (tagKey) => tagKey.fill(0),
      () => undefined,
    )
    this.#tagKey = undefined
  }

  async #open(): Promise<Uint8Array> {
    const { keyId, mark } = partsOf(this.#reference)
    const stored = await this.#parts.store.get(keyId)
    if (stored === undefined || stored.state === 'destroyed')
      throw new LongholdError('no_data_key', 'the key store does not have the keyring key', {
        hint: 'is it the right store, and the reference the one that makeKeyringKey gave for it?',
      })
    const dataKey = await unwrapStored(stored, this.#parts)
    try {
      if (!equalBytes(markOf(dataKey), mark)) throw cannotOpen()
      return hkdfExpand(hmacOf(dataKey), [keyLabel], 32)
    } finally {
      dataKey.wipe()
    }
  }
}

function markOf(dataKey: DataKey): Uint8Array {
  return hkdfExpand(hmacOf(dataKey), [markLabel], markBytes)
}
