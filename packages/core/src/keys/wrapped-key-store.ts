/**
 * What a keyring asks of storage: wrapped data keys by key id, with their state and what was written under them
 * (SPEC §12). Each operation is one step that names the state it expects; nothing is left open between two of them,
 * so that several processes may use one store.
 */

import { equalBytes, toHex } from '../bytes.ts'
import { badInput } from '../errors.ts'
import { containerKind, formatVersion, prefixBytes } from '../format/container.ts'
import type { EncryptionContext } from '../format/context.ts'
import { keyIdBytes } from '../format/header.ts'

/** `writing`: new records may use it. `reading`: records exist, no new ones. `retired`: nothing should need it. */
export type DataKeyState = 'writing' | 'reading' | 'retired'

/** What a data key has been used for, or is about to be. */
export interface DataKeyUse {
  /** Records. */
  readonly messages: number
  /** Of plaintext. */
  readonly bytes: number
}

/** Whose data key it is: the name it was asked for by, and the context its wrap is bound to. */
export interface DataKeyOwner {
  readonly name: string
  /** In canonical order. */
  readonly keyContext: EncryptionContext
}

/** One row of a store: a wrapped data key, whose it is, its state and what was reserved of it (SPEC §12). */
export interface StoredDataKey extends DataKeyOwner, DataKeyUse {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  /** A WrappedKey (SPEC §5.1): 53 bytes, and 1,192 for each recipient of the default suite. */
  readonly wrappedKey: Uint8Array
  readonly state: DataKeyState
  readonly createdAt: Date
  readonly updatedAt: Date
  /** 32 bytes with which the holders of a keyring key vouch for it (SPEC §12.1); `reserve` need not tell. */
  readonly tag?: Uint8Array | undefined
}

/** What is left of a data key that was destroyed: that it was, and when. Nothing that could tell whose it was. */
export interface DestroyedDataKey {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  readonly state: 'destroyed'
  readonly destroyedAt: Date
}

/** A data key to be stored; its counts are what the writer reserves at once. */
export type NewDataKey = Omit<StoredDataKey, 'state' | 'updatedAt'>

/** How `insertWriting` ended. */
export interface WritingKeyAnswer {
  readonly inserted: boolean
  /** The data key that is writing now: the new one, or the one that stood in its way. */
  readonly writing: StoredDataKey
}

/** What is given back of a data key. */
export interface DataKeyPortion extends DataKeyUse {
  /** 16 bytes. */
  readonly keyId: Uint8Array
}

/** What `replaceWrappedKeys` puts in the place of what. */
export interface WrappedKeyChange {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  /** What was read, byte for byte. */
  readonly expected: Uint8Array
  /** A WrappedKey of the same key id (SPEC §5.1). */
  readonly replacement: Uint8Array
  /** A `writing` data key becomes `reading` in the same step. */
  readonly stopWriting: boolean
}

/** Which part of a store is listed. */
export interface PageOptions {
  /** A key id, 16 bytes; the page begins behind it. Default: at the start. */
  readonly after?: Uint8Array | undefined
  /** At most this many, 1 or more. */
  readonly limit: number
  /** Only data keys of this name and key context. */
  readonly owner?: DataKeyOwner | undefined
}

/**
 * Keeps wrapped data keys. What an operation changed is durable when its promise resolves, and what it returns is the
 * caller's. Every operation throws LongholdError `unavailable` when the storage could not be asked; a change may
 * then have been made or not, never half.
 */
export interface WrappedKeyStore {
  /** The data key of that id, what is left of it, or `undefined` for one never heard of. */
  get(keyId: Uint8Array): Promise<StoredDataKey | DestroyedDataKey | undefined>

  /** The youngest data key of that name and key context that is `writing`. */
  findWriting(owner: DataKeyOwner): Promise<StoredDataKey | undefined>

  /**
   * Stores a new data key as `writing` if `findWriting` would still answer `expected`, or nothing at all; every other
   * `writing` key of the same name and key context becomes `reading` in the same step. Otherwise it changes nothing
   * and answers with the key that is writing. So of processes that race, all but one discard their new key.
   *
   * @throws LongholdError `bad_input` when the store holds that key id already, or held it once.
   */
  insertWriting(dataKey: NewDataKey, expected: Uint8Array | undefined): Promise<WritingKeyAnswer>

  /**
   * Adds to the counts if the data key is still `writing` and neither count would then be above `ceiling`.
   *
   * @param ceiling `undefined`: counted in whatever state the data key is, for a record that was begun under it and goes on.
   * @returns The data key as it is now; `undefined` when nothing was added.
   */
  reserve(
    keyId: Uint8Array,
    use: DataKeyUse,
    ceiling: DataKeyUse | undefined,
  ): Promise<StoredDataKey | undefined>

  /**
   * Takes back what was reserved and not used, for all data keys in one step; counts do not go below zero. Unknown key ids
   * are ignored. Throws LongholdError `bad_input` for a key id that stands twice.
   */
  release(portions: readonly DataKeyPortion[]): Promise<void>

  /**
   * Moves a data key from one state to another: `writing` to `reading`, `reading` to `retired` or back.
   *
   * @returns `false` when it is not in the state `from`, or not there.
   * @throws LongholdError `bad_input` for a move that is never made.
   */
  move(keyId: Uint8Array, from: DataKeyState, to: DataKeyState): Promise<boolean>

  /**
   * Replaces wrapped keys in one step, durable together: each if it is still the one that was read.
   *
   * @returns For each, in the order they were given: `false` when it is another by now, or not there.
   * @throws LongholdError `bad_input` when a `replacement` is no wrapped key of its key id, or a key id stands twice; then
   * none is replaced.
   */
  replaceWrappedKeys(changes: readonly WrappedKeyChange[]): Promise<readonly boolean[]>

  /**
   * Stores the tag of a data key in place of the one it has.
   *
   * @returns `false` when the data key is not there.
   */
  setTag(keyId: Uint8Array, tag: Uint8Array): Promise<boolean>

  /** Data keys in the order of their key ids; an empty page is the end. Destroyed ones are not among them. */
  page(options: PageOptions): Promise<readonly StoredDataKey[]>

  /**
   * Deletes a wrapped key for ever, whatever its state, and remembers that it did.
   *
   * @returns `false` when it is not there, destroyed before or never heard of.
   */
  destroy(keyId: Uint8Array): Promise<boolean>
}

/**
 * New records never come back to a key that was left, so nothing moves to `writing`. A retired key may go back to
 * `reading`: retiring is how one finds out that something still needed it.
 */
const moves: Readonly<Record<DataKeyState, readonly DataKeyState[]>> = {
  writing: ['reading'],
  reading: ['retired'],
  retired: ['reading'],
}

// What follows is for the library's own files: the package does not export it.

/** @throws LongholdError `bad_input` for a move that is never made. */
export function checkMove(from: DataKeyState, to: DataKeyState): void {
  // `?.`: callers from JavaScript may name states that are none.
  if (!moves[from]?.includes(to)) throw badInput(`a data key does not move from ${from} to ${to}`)
}

/** @throws LongholdError `bad_input` when the bytes are no wrapped key, or one of another data key. */
export function checkWrappedKey(keyId: Uint8Array, wrappedKey: Uint8Array): void {
  if (keyId.length !== keyIdBytes) throw badInput(`a key id has ${keyIdBytes} bytes, not ${keyId.length}`)
  const isOfKey =
    containerKind(wrappedKey) === 'wrapped key' &&
    wrappedKey[prefixBytes - 1] === formatVersion &&
    equalBytes(wrappedKey.subarray(prefixBytes, prefixBytes + keyIdBytes), keyId)
  if (!isOfKey) throw badInput(`no wrapped key of data key ${toHex(keyId)}`)
}

/** @throws LongholdError `bad_input` for a change that cannot be made, whatever the store holds. */
export function checkChanges(changes: readonly WrappedKeyChange[]): void {
  for (const { keyId, replacement } of changes) checkWrappedKey(keyId, replacement)
  checkDistinct(changes)
}

/** @throws LongholdError `bad_input` for a key id that stands twice: in one step, which would come first? */
export function checkDistinct(of: readonly { readonly keyId: Uint8Array }[]): void {
  if (new Set(of.map(({ keyId }) => toHex(keyId))).size < of.length)
    throw badInput('a key id stands twice among the data keys to be changed')
}

/** What a store says that was given a key id it holds or held. */
export function heldAlready(keyId: Uint8Array): Error {
  return badInput(`the store holds data key ${toHex(keyId)} already, or held it until it was destroyed`)
}

/** A key context as the stores write it: a JSON object, in canonical order, so that equal contexts are equal text. */
export function keyContextJson(keyContext: EncryptionContext): string {
  return `{${keyContext.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`
}

/** The same text for the same name and context, and for no others. */
export function ownerText({ name, keyContext }: DataKeyOwner): string {
  return JSON.stringify([name, keyContextJson(keyContext)])
}
