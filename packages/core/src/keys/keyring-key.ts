/**
 * How a keyring tells the data keys it made from those that somebody put into its store who knows no more than a public
 * key (SPEC §12.1). Apart from the keyring, so that who does not use it does not ship it.
 */

import { concat, copyBytes, equalBytes, fromBase64url, lp16, toBase64url, utf8 } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { decodeWrappedKey } from '../format/container.ts'
import { canonicalize } from '../format/context.ts'
import type { ContextInput } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { backend } from '../primitives/backend.ts'
import { hkdfExpand } from '../primitives/kdf.ts'
import { hmacOf } from './data-key.ts'
import type { DataKey } from './data-key.ts'
import type { Identity } from './identity.ts'
import { unwrapStored } from './keyring-parts.ts'
import type { KeyringParts, Vouched, Voucher } from './keyring-parts.ts'
import { suiteTable } from './suite.ts'
import type { SuitesOption } from './suite.ts'
import type { StoredDataKey } from './wrapped-key-store.ts'
import { checkIdentities, openHeader } from './wrapped-key.ts'

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

  /** 16 bytes: where the store has it. A copy. */
  get keyId(): Uint8Array {
    return copyBytes(this.#keyId)
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

/**
 * Opens a keyring key (SPEC §12.1), for programs that store data keys without a keyring, where keyrings with that key shall
 * take them for theirs.
 *
 * @param wrappedKey Of the data key `keyringKey.keyId`, as it stands in the store.
 * @param options.identities 1 or more, one of them a recipient of it.
 * @throws LongholdError `bad_input`, `malformed`, `unsupported`, `not_a_recipient`, `unavailable`; `cannot_open` also when the
 * reference is that of another data key.
 */
export async function openKeyringKey(
  keyringKey: KeyringKey,
  wrappedKey: Uint8Array,
  options: SuitesOption & { readonly identities: readonly Identity[] },
): Promise<OpenKeyringKey> {
  checkOptions(options, ['identities', 'suites'], 'openKeyringKey')
  if (!(keyringKey instanceof KeyringKey))
    throw badInput('openKeyringKey: keyringKey is none', 'parseKeyringKey makes one')
  checkBytes(wrappedKey, 'openKeyringKey: wrappedKey')
  checkIdentities(options.identities)
  const suites = suiteTable(options.suites)
  const header = decodeWrappedKey(copyBytes(wrappedKey), suites.stanzaLength)
  using dataKey = await openHeader(header, [...options.identities], [], suites)
  return new OpenKeyringKey(tagKeyOf(keyringKey, dataKey))
}

/** An opened keyring key (SPEC §12.1), until `wipe`; `openKeyringKey` opens it. */
export class OpenKeyringKey {
  #tagKey: Uint8Array | undefined

  constructor(tagKey: Uint8Array) {
    this.#tagKey = tagKey
  }

  /**
   * The tag of a data key, 32 bytes: to be stored with it, for this name, key context and time.
   *
   * @throws LongholdError `bad_context`; `bad_input` for another argument, and after `wipe`.
   */
  tagOf(
    dataKey: DataKey,
    about: { readonly name: string; readonly keyContext: ContextInput; readonly createdAt: Date },
  ): Uint8Array {
    checkOptions(about, ['name', 'keyContext', 'createdAt'], 'OpenKeyringKey.tagOf')
    const { name, keyContext, createdAt } = about
    if (this.#tagKey === undefined) throw badInput('this keyring key was wiped')
    if (typeof name !== 'string' || !name.isWellFormed()) throw badInput('OpenKeyringKey.tagOf: name is none')
    if (!(createdAt instanceof Date) || !(createdAt.getTime() >= 0))
      throw badInput('OpenKeyringKey.tagOf: createdAt is no time since 1970')
    return tagUnder(this.#tagKey, dataKey, { name, keyContext: canonicalize(keyContext).pairs, createdAt })
  }

  /** Forgets the key. Best effort. */
  wipe(): void {
    this.#tagKey?.fill(0)
    this.#tagKey = undefined
  }

  /** For `using`: as `wipe`. */
  [Symbol.dispose](): void {
    this.wipe()
  }
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

  async tagOf(dataKey: DataKey, about: Vouched): Promise<Uint8Array> {
    this.#tagKey ??= this.#open()
    let tagKey: Uint8Array
    try {
      tagKey = await this.#tagKey
    } catch (error) {
      this.#tagKey = undefined // another time it may go well
      throw error
    }
    return tagUnder(tagKey, dataKey, about)
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
    const stored = await this.#parts.store.get(this.#reference.keyId)
    if (stored === undefined || stored.state === 'destroyed')
      throw new LongholdError('no_data_key', 'the key store does not have the keyring key', {
        hint: 'is it the right store, and the reference the one that makeKeyringKey gave for it?',
      })
    const dataKey = await unwrapStored(stored, this.#parts)
    try {
      return tagKeyOf(this.#reference, dataKey)
    } finally {
      dataKey.wipe()
    }
  }
}

/** @throws LongholdError `cannot_open` for another data key than the reference is of. */
function tagKeyOf(reference: KeyringKey, dataKey: DataKey): Uint8Array {
  const { keyId, mark } = partsOf(reference)
  if (!equalBytes(dataKey.keyId, keyId) || !equalBytes(markOf(dataKey), mark)) throw cannotOpen()
  return hkdfExpand(hmacOf(dataKey), [keyLabel], 32)
}

function tagUnder(
  tagKey: Uint8Array,
  dataKey: DataKey,
  { name, keyContext, createdAt }: Vouched,
): Uint8Array {
  const mark = markOf(dataKey) // refuses what is no data key
  const at = new DataView(new ArrayBuffer(8))
  at.setBigUint64(0, BigInt(createdAt.getTime()))
  const hmac = backend().hmac('sha256', tagKey)
  const tag = hmac.mac(
    tagLabel,
    dataKey.keyId,
    mark,
    new Uint8Array(at.buffer),
    lp16(utf8(name)),
    canonicalize(keyContext).bytes,
  )
  hmac.wipe()
  return tag
}

function markOf(dataKey: DataKey): Uint8Array {
  return hkdfExpand(hmacOf(dataKey), [markLabel], markBytes)
}
