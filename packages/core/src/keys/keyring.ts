/**
 * Identities, recipients and a store of wrapped keys in one: data keys are made, found, followed by the next and
 * forgotten by themselves; records name the one they are under by its key id.
 */

import { copyBytes, toHex } from '../bytes.ts'
import { badInput } from '../errors.ts'
import { encodeValue } from '../format/value.ts'
import type { TypedValue } from '../format/value.ts'
import { checkBytes, checkOptions } from '../options.ts'
import { checkPlaintextLength } from './data-key.ts'
import type { EncryptedReader, RandomAccessSource } from './encrypted-reader.ts'
import { DataKeyHandle, encryptOne } from './keyring-handle.ts'
import type { HandleSource } from './keyring-handle.ts'
import { BlindIndexKey, openIndexKey } from './keyring-index.ts'
import { indexName } from './keyring-names.ts'
import { openByKeyId, openByKeyIdSync, opening, preload } from './keyring-open.ts'
import {
  keyIdFrom,
  keyIdsFrom,
  ownerFrom,
  partsFrom,
  recordOptionsFrom,
  rewrapOptionsFrom,
} from './keyring-options.ts'
import type {
  DataKeyOptions,
  KeyringOptions,
  KeyringRecordOptions,
  KeyringRewrapOptions,
  OwnerOptions,
} from './keyring-options.ts'
import { allOf, checkWrites, moveKey, untilNoneIsLeft } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import { rewrapStore } from './keyring-rewrap.ts'
import type { RewrapProgress } from './keyring-rewrap.ts'
import { keyringOpening, keyringSealing, openInParts } from './keyring-stream.ts'
import type { KeyringStreamOptions } from './keyring-stream.ts'
import type { Writer } from './keyring-writer.ts'
import { Writers } from './keyring-writers.ts'
import { opening as messageOpening, sealing } from './message-stream.ts'
import type { ByteTransform } from './message-stream.ts'
import type { DataKeyOwner, StoredDataKey } from './wrapped-key-store.ts'

/**
 * Opens a keyring. Nothing is read or written yet.
 *
 * @throws LongholdError `bad_input` for an option that cannot be meant; `unsupported` for a recipient of a suite that
 * may not be written.
 */
export function openKeyring(options: KeyringOptions): Keyring {
  return new Keyring(options, Date.now)
}

/** The same with a clock, for tests. Not exported by the package. */
export function testingOpenKeyring(options: KeyringOptions, testingNow: () => number): Keyring {
  return new Keyring(options, testingNow)
}

/** Reads what the class keeps private, for `sourceOf` alone. */
let privateSource: (keyring: Keyring) => HandleSource

/**
 * Identities, recipients and a store of wrapped keys in one; `openKeyring` opens it. Once it was closed, its methods throw
 * LongholdError `bad_input`.
 */
export class Keyring {
  readonly #parts: KeyringParts
  readonly #source: HandleSource
  readonly #writers: Writers
  #isClosed = false

  /** See `openKeyring`. */
  constructor(options: KeyringOptions, now: () => number) {
    this.#parts = partsFrom(options, now)
    this.#writers = new Writers(this.#parts)
    this.#source = { parts: this.#parts, writerOf: (owner, text) => this.#writerOf(owner, text) }
  }

  /**
   * The data keys of a name, say `users`, in a key context; one is ready to encrypt records when the promise resolves.
   * Quick when it was called before: call it for each piece of work, or keep the handle.
   *
   * @param name 1 to 256 characters, none of them a control character.
   * @param options.bytes Of plaintext that will be encrypted at once, and `messages` in how many records: kept for this
   * handle, as `DataKeyHandle.ready` says. Left out, what is reserved is shared, and where many callers come together or
   * records have megabytes, `encrypt` is `limit_exceeded` for some of them.
   * @throws LongholdError `bad_input`, `bad_context`; `limit_exceeded` when a data key is used up and the next could
   * not be prepared; `unavailable`; `not_a_recipient` when none of the identities is among the recipients.
   */
  async dataKey(name: string, options: DataKeyOptions = {}): Promise<DataKeyHandle> {
    checkOptions(options, ['keyContext', 'messages', 'bytes'], 'Keyring.dataKey')
    const { messages, bytes, ...owner } = options
    const handle = this.#handle(name, owner, 'Keyring.dataKey')
    await handle.ready({ ...(messages !== undefined && { messages }), ...(bytes !== undefined && { bytes }) })
    return handle
  }

  /**
   * As `dataKey`, but nothing is asked, made or counted before something is to be encrypted: for who reads, or may only
   * come to write later. Decrypting through it never does any of it.
   *
   * @throws LongholdError `bad_input`, `bad_context`. What `dataKey` throws comes from `ready` and `encryptedColumns`;
   * `encrypt` without `ready` is `limit_exceeded` the first time.
   */
  handle(name: string, options: OwnerOptions = {}): DataKeyHandle {
    return this.#handle(name, options, 'Keyring.handle')
  }

  /**
   * Encrypts one record (SPEC §6.1) under a data key of that name, as `DataKeyHandle.encrypt` does, but waits until there is
   * room for it: for many that come at once, and for large ones. What is done to the plaintext meanwhile changes nothing.
   *
   * @param options.keyContext Whose data key it is, as for `dataKey`. Default none.
   * @throws LongholdError what `dataKey` throws; `limit_exceeded` also above 64 MiB, or above what a data key is for.
   */
  async encrypt(name: string, plaintext: Uint8Array, options: KeyringRecordOptions): Promise<Uint8Array> {
    checkBytes(plaintext, 'Keyring.encrypt: plaintext')
    checkPlaintextLength(plaintext.length)
    const { recordContext, ...owner } = recordOptionsFrom(options, 'Keyring.encrypt')
    const handle = this.#handle(name, owner, 'Keyring.encrypt')
    return await encryptOne(handle, { plaintext: copyBytes(plaintext), recordContext }, 'data')
  }

  /** Encrypts one typed value (SPEC §9); as `encrypt`. Throws LongholdError `bad_value`, too. */
  async encryptValue(name: string, value: TypedValue, options: KeyringRecordOptions): Promise<Uint8Array> {
    const { recordContext, ...owner } = recordOptionsFrom(options, 'Keyring.encryptValue')
    const handle = this.#handle(name, owner, 'Keyring.encryptValue')
    const plaintext = encodeValue(value)
    checkPlaintextLength(plaintext.length)
    return await encryptOne(handle, { plaintext, recordContext }, 'value')
  }

  /**
   * Encrypts a stream of any size as one record (SPEC §6.1) under a data key of that name, in constant memory. It has
   * `ciphertextSize(bytes, { recipients: 0 })` bytes, and opens as a stream, in parts, and up to 64 MiB at once. Its bytes
   * are counted towards the data key. One whose size is not said is finished under the data key it was begun under, though
   * that one be used up or followed by the next meanwhile; it then counts more than its limit.
   *
   * @param options.keyContext As for `encrypt`.
   * @throws LongholdError Here for wrong options, and `limit_exceeded` for a size above `limits.maxBytes`. The stream fails
   * with what `encrypt` throws, with `limit_exceeded` at that many bytes, and with `bad_input` when `size` was another.
   */
  encryptStream(name: string, options: KeyringStreamOptions): ByteTransform {
    return sealing(keyringSealing(sourceOf(this), name, options, 'Keyring.encryptStream'))
  }

  /**
   * Decrypts a stream that is one record (SPEC §6.4) of any name, its data key found by its key id. What `decryptStream`
   * says of cut streams holds here too.
   *
   * @throws LongholdError Here for wrong options; the stream fails with what `decrypt` throws.
   */
  decryptStream(options: KeyringRecordOptions): ByteTransform {
    return messageOpening(keyringOpening(sourceOf(this), options, 'Keyring.decryptStream'))
  }

  /**
   * Opens a record of any name for reading in parts (SPEC §6.4), its data key found by its key id. The reader has a key of its
   * own: it reads on until it is closed, whatever becomes of the data key.
   *
   * @throws LongholdError what `decrypt` throws, except that there is no limit of size.
   */
  async open(source: Blob | RandomAccessSource, options: KeyringRecordOptions): Promise<EncryptedReader> {
    return await openInParts(sourceOf(this), source, options, 'Keyring.open')
  }

  /**
   * The key of the blind indexes of a name (SPEC §8), made when there is none. It is never rotated; to change it, take
   * another name and compute the indexes anew.
   *
   * @throws LongholdError as `dataKey`.
   */
  async indexKey(name: string, options: OwnerOptions = {}): Promise<BlindIndexKey> {
    this.#checkOpen()
    const { keyContext } = ownerFrom(name, options, 'Keyring.indexKey')
    return new BlindIndexKey(await openIndexKey({ name: indexName(name), keyContext }, this.#parts))
  }

  /**
   * Decrypts a record (SPEC §6.3) of any name, its data key found by its key id.
   *
   * @throws LongholdError what `DataKey.decrypt` throws; `no_data_key`, `destroyed`; `unavailable` for a retired data
   * key, or when store or identity could not be asked; what unwrapping throws.
   */
  async decrypt(record: Uint8Array, options: KeyringRecordOptions): Promise<Uint8Array> {
    return await openByKeyId(record, options, this.#opening('Keyring.decrypt', opening.bytes))
  }

  /** Decrypts a record that holds a typed value; as `decrypt`. */
  async decryptValue(record: Uint8Array, options: KeyringRecordOptions): Promise<TypedValue> {
    return await openByKeyId(record, options, this.#opening('Keyring.decryptValue', opening.value))
  }

  /**
   * As `decrypt` (SPEC §6.3), at once, for a data key that is at hand.
   *
   * @throws LongholdError `unavailable` when it is not.
   */
  decryptSync(record: Uint8Array, options: KeyringRecordOptions): Uint8Array {
    return openByKeyIdSync(record, options, this.#opening('Keyring.decryptSync', opening.bytes))
  }

  /** As `decryptValue`, at once; as `decryptSync`. */
  decryptValueSync(record: Uint8Array, options: KeyringRecordOptions): TypedValue {
    return openByKeyIdSync(record, options, this.#opening('Keyring.decryptValueSync', opening.value))
  }

  /**
   * Has data keys at hand, for what decrypts at once.
   *
   * @param keyIds Key ids of 16 bytes; of a record, `keyIdOf` tells. At most as many as the cache holds.
   * @throws LongholdError `limit_exceeded`; what `decrypt` throws for a data key.
   */
  async preload(keyIds: readonly Uint8Array[]): Promise<void> {
    this.#checkOpen()
    await preload(keyIdsFrom(keyIds, 'Keyring.preload'), this.#parts)
  }

  /**
   * Makes a new data key for a name; new records are written under it, here at once and in other processes when they
   * look again (`refreshMs`). The old one becomes `reading`.
   *
   * @returns Its key id, 16 bytes.
   * @throws LongholdError as `dataKey`.
   */
  async rotate(name: string, options: OwnerOptions = {}): Promise<Uint8Array> {
    return await this.#writerOf(ownerFrom(name, options, 'Keyring.rotate')).rotate()
  }

  /**
   * Wraps every data key of the store for new recipients; records are not touched. Data keys that were also wrapped for
   * somebody who is not named any more become `reading`: no new record is written under them. It is not revocation: see
   * SPEC §6.5. What fails is reported and left; call again with `after` to go on where an error ended it. Recipients that
   * are named here are the keyring's from now on, however it ends: data keys made later are for them. Other keyrings over
   * the same store have to be opened with them.
   *
   * @throws LongholdError `bad_input`, `unsupported` before anything is written; `unavailable` when store, recipient or
   * identity could not be asked.
   */
  async rewrap(options: KeyringRewrapOptions = {}): Promise<RewrapProgress> {
    this.#checkOpen()
    const { recipients, ...how } = rewrapOptionsFrom(options, 'Keyring.rewrap')
    checkWrites(this.#parts)
    if (recipients !== undefined) {
      this.#parts.policy.checkRecipients(recipients)
      this.#parts.recipients = [...recipients]
    }
    const left = (keyId: string) => this.#writers.leave(keyId)()
    return await rewrapStore(this.#parts.recipients, { ...how, left }, this.#parts)
  }

  /**
   * Moves a data key from `reading` to `retired`: its records are refused from now on, to see whether anything still
   * needs it. Other processes may have it at hand for as long as their caches keep it.
   *
   * @param keyId 16 bytes.
   * @throws LongholdError `bad_input` when it is not reading: rotate one that is writing first; `unavailable`.
   */
  async retire(keyId: Uint8Array): Promise<void> {
    this.#checkOpen()
    await moveKey(keyIdFrom(keyId, 'Keyring.retire'), 'reading', 'retired', this.#parts)
    this.#parts.cache.forget(toHex(keyId))
  }

  /**
   * Moves a data key back from `retired` to `reading`.
   *
   * @throws LongholdError `bad_input` when it is not retired; `unavailable`.
   */
  async reinstate(keyId: Uint8Array): Promise<void> {
    this.#checkOpen()
    await moveKey(keyIdFrom(keyId, 'Keyring.reinstate'), 'retired', 'reading', this.#parts)
  }

  /**
   * Deletes a wrapped data key for ever, and with it every record under it: nothing brings them back but a copy of the
   * store. Other processes may have it at hand for as long as their caches keep it.
   *
   * @returns `false` when it was destroyed before, or the store has never heard of it.
   * @throws LongholdError `bad_input` for what is no key id of 16 bytes; `unavailable`.
   */
  async destroy(keyId: Uint8Array): Promise<boolean> {
    this.#checkOpen()
    checkWrites(this.#parts)
    const id = keyIdFrom(keyId, 'Keyring.destroy')
    const hasLeft = this.#writers.leave(toHex(id))
    try {
      const isDestroyed = await this.#parts.store.destroy(id)
      this.#parts.cache.forget(toHex(id))
      return isDestroyed
    } finally {
      hasLeft()
    }
  }

  /**
   * Destroys all data keys of a name and key context, its index key too: the data of one tenant or person. Nothing may
   * write under it any more, or it gets a new one.
   *
   * @returns How many.
   * @throws LongholdError `bad_input`, also for a key context that was not said; `bad_context`; `unavailable`, when some may
   * have been destroyed already.
   */
  async destroyAll(name: string, options: OwnerOptions): Promise<number> {
    checkOptions(options, ['keyContext'], 'Keyring.destroyAll')
    if (options.keyContext === undefined)
      throw badInput('Keyring.destroyAll: keyContext is required', 'say {} for the data keys without one')
    const owner = ownerFrom(name, options, 'Keyring.destroyAll')
    this.#checkOpen()
    checkWrites(this.#parts)
    let destroyed = 0
    for (const one of [owner, { ...owner, name: indexName(name) }])
      for await (const { keyId } of untilNoneIsLeft(this.#parts.store, one))
        if (await this.destroy(keyId)) destroyed++
    return destroyed
  }

  /**
   * Every data key of the store that is not destroyed, in the order of the key ids, with its state and counts.
   *
   * @param options.after A key id, 16 bytes: begin behind it.
   * @throws LongholdError `unavailable` when the store could not be asked.
   */
  async *dataKeys(
    options: { readonly after?: Uint8Array } = {},
  ): AsyncGenerator<StoredDataKey, void, undefined> {
    checkOptions(options, ['after'], 'Keyring.dataKeys')
    let { after } = options
    if (after !== undefined) after = keyIdFrom(after, 'Keyring.dataKeys: after')
    this.#checkOpen()
    for await (const stored of allOf(this.#parts.store, { after })) {
      this.#checkOpen()
      yield stored
    }
  }

  /** Gives back what is reserved of data keys and not used, and wipes them all. The store stays open. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#writers.close()
    this.#wipe()
  }

  /** For `await using`: as `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Wipes all data keys at once; what is reserved and not used stays counted. `close` is better where one can wait. */
  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#writers.clear()
    this.#wipe()
  }

  #wipe(): void {
    this.#parts.cache.close()
    this.#parts.keyringKey?.wipe()
  }

  #handle(name: string, options: OwnerOptions, where: string): DataKeyHandle {
    this.#checkOpen()
    return new DataKeyHandle(this.#source, ownerFrom(name, options, where))
  }

  #writerOf(owner: DataKeyOwner, text?: string): Writer {
    this.#checkOpen()
    return this.#writers.of(owner, text)
  }

  #opening<T>(where: string, open: T): { where: string; open: T; parts: KeyringParts } {
    this.#checkOpen()
    return { where, open, parts: this.#parts }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw badInput('the keyring was closed')
  }

  static {
    privateSource = (keyring) => {
      keyring.#checkOpen()
      return keyring.#source
    }
  }
}

// What follows is for the library's own files: the package does not export it.

/** @throws LongholdError `bad_input` for what is no keyring, or one that was closed. */
export function sourceOf(keyring: Keyring): HandleSource {
  if (!(keyring instanceof Keyring)) throw badInput('the keyring is none', 'openKeyring opens one')
  return privateSource(keyring)
}
