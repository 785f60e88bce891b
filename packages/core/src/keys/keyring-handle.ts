/** What `keyring.dataKey` gives: records encrypted and decrypted at once, under whatever data key is in turn. */

import { copyBytes, toHex } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { decodeRecord } from '../format/container.ts'
import type { EncryptionContext } from '../format/context.ts'
import { encodeValue } from '../format/value.ts'
import type { TypedValue } from '../format/value.ts'
import { checkBytes, checkOptions } from '../options.ts'
import type { BodyKind } from './body-context.ts'
import { checkPlaintextLength, recordContextOf, sealRecord } from './data-key.ts'
import type { DataKey, RecordOptions } from './data-key.ts'
import type { CachedKey } from './keyring-cache.ts'
import { BlindIndexKey, findIndexKey, openIndexKey } from './keyring-index.ts'
import { indexName } from './keyring-names.ts'
import { holdById } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { KeptRoom, Writer } from './keyring-writer.ts'
import { ownerText } from './wrapped-key-store.ts'
import type { DataKeyOwner, DataKeyUse } from './wrapped-key-store.ts'

/** What handles ask of their keyring. */
export interface HandleSource {
  readonly parts: KeyringParts
  /**
   * The same writer for all handles of one owner; `text` is its `ownerText`, made once since this runs for each record.
   * Throws `bad_input` once the keyring was closed.
   */
  writerOf(owner: DataKeyOwner, text: string): Writer
}

/** Reads what the class keeps private, for this file alone. */
let privates: (handle: DataKeyHandle) => {
  source: HandleSource
  owner: DataKeyOwner
  text: string
  writer: () => Writer
}

/**
 * The data keys of one name and key context. It stays good when data keys change beneath it, so that it may be kept;
 * `keyring.dataKey` and `keyring.handle` give another one as quickly. Decrypting makes, replaces and counts nothing.
 */
export class DataKeyHandle {
  readonly #source: HandleSource
  readonly #owner: DataKeyOwner
  readonly #ownerText: string
  #room: KeptRoom | undefined

  constructor(source: HandleSource, owner: DataKeyOwner) {
    this.#source = source
    this.#owner = owner
    this.#ownerText = ownerText(owner)
  }

  get name(): string {
    return this.#owner.name
  }

  /** In canonical order. */
  get keyContext(): EncryptionContext {
    return this.#owner.keyContext
  }

  /** 16 bytes: the data key under which the next record is encrypted. `undefined` until one is ready. */
  get keyId(): Uint8Array | undefined {
    const { keyId } = this.#writer()
    return keyId && copyBytes(keyId)
  }

  /**
   * Makes room for that many records, or bytes of plaintext, to be encrypted at once. `keyring.dataKey` has done so for
   * at least one record, and what is used up is replenished whenever something is awaited. Needed before thousands of
   * records in one turn of the event loop, before records of megabytes, and after long idleness. What is asked for here is
   * kept for this handle until the event loop turns, so encrypt before anything else is awaited; what is not asked for is
   * taken from what all handles of the name share.
   *
   * @throws LongholdError `limit_exceeded` for more than a data key is for, or when the next data key could not be
   * prepared; `unavailable` when store, recipient or identity could not be asked.
   */
  async ready(use: Partial<DataKeyUse> = {}): Promise<void> {
    checkOptions(use, ['messages', 'bytes'], 'DataKeyHandle.ready')
    const isAsked = use.messages !== undefined || use.bytes !== undefined
    const { messages = 1, bytes = 0 } = use
    for (const count of [messages, bytes]) {
      if (!Number.isSafeInteger(count) || count < 0)
        throw badInput('DataKeyHandle.ready: messages and bytes are whole numbers, 0 or more')
    }
    const writer = this.#writer()
    await writer.whenReady({ messages, bytes }, () => {
      if (isAsked) this.#room = writer.keep({ messages, bytes })
    })
  }

  /**
   * Encrypts one record (SPEC §6), as `DataKey.encrypt` does.
   *
   * @throws LongholdError what `DataKey.encrypt` throws; `limit_exceeded` when the data key at hand is used up and the
   * next one is not ready.
   */
  encrypt(plaintext: Uint8Array, options: RecordOptions): Uint8Array {
    checkBytes(plaintext, 'DataKeyHandle.encrypt: plaintext')
    checkPlaintextLength(plaintext.length)
    const context = recordContextOf(options, 'DataKeyHandle.encrypt')
    return sealRecord(this.#writer().take(plaintext.length, this.#room), plaintext, context)
  }

  /** Encrypts one typed value, as `DataKey.encryptValue` does (SPEC §9); throws also as `encrypt` does. */
  encryptValue(value: TypedValue, options: RecordOptions): Uint8Array {
    const context = recordContextOf(options, 'DataKeyHandle.encryptValue')
    const plaintext = encodeValue(value)
    checkPlaintextLength(plaintext.length)
    const dataKey = this.#writer().take(plaintext.length, this.#room)
    return sealRecord(dataKey, plaintext, context, { bodyKind: 'value' })
  }

  /**
   * Decrypts one record (SPEC §6.3) of this name and key context, whichever of its data keys it is under, if that one is at hand:
   * the one in turn is, others after `keyring.preload` or a while after they were used.
   *
   * @throws LongholdError what `DataKey.decrypt` throws, `cannot_open` also for another owner's record; `unavailable`
   * when the data key is not at hand.
   */
  decrypt(record: Uint8Array, options: RecordOptions): Uint8Array {
    checkBytes(record, 'DataKeyHandle.decrypt: record')
    return this.#atHand(record).dataKey.decrypt(record, options)
  }

  /** Decrypts one typed value; as `decrypt`. */
  decryptValue(record: Uint8Array, options: RecordOptions): TypedValue {
    checkBytes(record, 'DataKeyHandle.decryptValue: record')
    return this.#atHand(record).dataKey.decryptValue(record, options)
  }

  #writer(): Writer {
    return this.#source.writerOf(this.#owner, this.#ownerText)
  }

  #atHand(record: Uint8Array): CachedKey {
    const { keyId } = decodeRecord(record)
    const found = cachedOrUnavailable(this.#source, keyId)
    if (found.owner !== this.#ownerText) throw cannotOpen()
    return found
  }

  static {
    privates = (handle) => ({
      source: handle.#source,
      owner: handle.#owner,
      text: handle.#ownerText,
      writer: () => handle.#writer(),
    })
  }
}

// What follows is for the library's own files: the package does not export it.

/** @throws LongholdError `bad_input` for what is no handle. */
function privatesOf(handle: DataKeyHandle): ReturnType<typeof privates> {
  if (!(handle instanceof DataKeyHandle))
    throw badInput('the key is no DataKeyHandle', 'keyring.handle gives one')
  return privates(handle)
}

/** @throws LongholdError `unavailable` when the data key is not at hand. */
export function cachedOrUnavailable({ parts }: Pick<HandleSource, 'parts'>, keyId: Uint8Array): CachedKey {
  const found = parts.cache.peek(toHex(keyId))
  if (found !== undefined) return found
  throw new LongholdError('unavailable', `data key ${toHex(keyId)} is not at hand`, {
    hint: 'await keyring.preload(records) first, or keyring.decrypt',
  })
}

/**
 * Calls `read` with the index key of the handle's name and key context.
 *
 * @param make Whether one is made when there is none; otherwise `read` is not called then, and the answer `undefined`.
 */
export async function withIndexKey<T>(
  handle: DataKeyHandle,
  make: boolean,
  read: (indexKey: BlindIndexKey) => T,
): Promise<T | undefined> {
  const { source, owner } = privatesOf(handle)
  const indexOwner = { ...owner, name: indexName(owner.name) }
  const held = await (make ? openIndexKey : findIndexKey)(indexOwner, source.parts)
  if (held === undefined) return undefined
  using indexKey = new BlindIndexKey(held)
  return read(indexKey)
}

/** What one record holds, typed values encoded, and what it is bound to. */
export interface EncodedValue extends RecordOptions {
  readonly plaintext: Uint8Array
}

/** Encrypts one record when there is room for it. */
export async function encryptOne(
  handle: DataKeyHandle,
  { plaintext, recordContext }: EncodedValue,
  bodyKind: BodyKind,
): Promise<Uint8Array> {
  const writer = privatesOf(handle).writer()
  return await writer.whenReady({ messages: 1, bytes: plaintext.length }, () =>
    sealRecord(writer.take(plaintext.length), plaintext, recordContext, { bodyKind }),
  )
}

/** Encrypts values, all of them or none, when there is room for all. */
export async function encryptAll(
  handle: DataKeyHandle,
  values: readonly EncodedValue[],
): Promise<Uint8Array[]> {
  const writer = privatesOf(handle).writer()
  const bytes = values.reduce((sum, { plaintext }) => sum + plaintext.length, 0)
  return await writer.whenReady({ messages: values.length, bytes }, () =>
    values.map(({ plaintext, recordContext }) =>
      sealRecord(writer.take(plaintext.length), plaintext, recordContext, { bodyKind: 'value' }),
    ),
  )
}

/**
 * Calls `read` with the data keys of those ids at hand, which must be of the handle's name and key context.
 *
 * @throws LongholdError what `holdById` throws; `cannot_open` for another owner's data key.
 */
export async function withDataKeys<T>(
  handle: DataKeyHandle,
  keyIds: readonly Uint8Array[],
  read: (dataKeyOf: (record: Uint8Array) => DataKey) => T,
): Promise<T> {
  const { source, text } = privatesOf(handle)
  const wanted = new Map(keyIds.map((keyId) => [toHex(keyId), keyId]))
  const settled = await Promise.allSettled([...wanted.values()].map((keyId) => holdById(keyId, source.parts)))
  const held = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    const failure = settled.find((one) => one.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    if (held.some((one) => one.owner !== text)) throw cannotOpen()
    const byId = new Map(held.map(({ dataKey }) => [toHex(dataKey.keyId), dataKey]))
    return read((record) => {
      const dataKey = byId.get(toHex(decodeRecord(record).keyId))
      if (dataKey === undefined) throw cannotOpen()
      return dataKey
    })
  } finally {
    for (const one of held) one.release()
  }
}
