/** A table of wrapped keys in memory: the store's operations, done at once. Entries in it are never changed. */

import { copyBytes, equalBytes, toHex } from '../bytes.ts'
import {
  checkChanges,
  checkDistinct,
  checkMove,
  checkWrappedKey,
  heldAlready,
  ownerText,
} from '../keys/wrapped-key-store.ts'
import type {
  DataKeyOwner,
  DataKeyPortion,
  DataKeyState,
  DataKeyUse,
  DestroyedDataKey,
  NewDataKey,
  PageOptions,
  StoredDataKey,
  WrappedKeyChange,
  WritingKeyAnswer,
} from '../keys/wrapped-key-store.ts'

export type Entry = StoredDataKey | DestroyedDataKey

export class KeyTable {
  /** By key id in hexadecimal, whose order is that of the bytes. */
  readonly #entries: Map<string, Entry>
  #isChanged = false

  constructor(entries: Iterable<Entry> = []) {
    this.#entries = new Map(Array.from(entries, (entry) => [toHex(entry.keyId), entry]))
  }

  /** Whether any operation changed it since it was made. */
  get isChanged(): boolean {
    return this.#isChanged
  }

  /** All there is, in the order of the key ids. */
  entries(): Entry[] {
    return [...this.#entries].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
  }

  /** A table of its own that begins as this one is. */
  fork(): KeyTable {
    return new KeyTable(this.#entries.values())
  }

  get(keyId: Uint8Array): Entry | undefined {
    const entry = this.#entries.get(toHex(keyId))
    return entry && copyOf(entry)
  }

  findWriting(owner: DataKeyOwner): StoredDataKey | undefined {
    const [youngest] = this.#writing(owner)
    return youngest && copyOf(youngest)
  }

  insertWriting(dataKey: NewDataKey, expected: Uint8Array | undefined): WritingKeyAnswer {
    const { keyId } = dataKey
    checkWrappedKey(keyId, dataKey.wrappedKey)
    if (this.#entries.has(toHex(keyId))) throw heldAlready(keyId)
    const before = this.#writing(dataKey)
    const [youngest] = before
    if (youngest !== undefined && !(expected !== undefined && equalBytes(youngest.keyId, expected))) {
      return { inserted: false, writing: copyOf(youngest) }
    }
    for (const entry of before) this.#put({ ...entry, state: 'reading', updatedAt: new Date() })
    const entry: StoredDataKey = copyOf({ ...dataKey, state: 'writing', updatedAt: dataKey.createdAt })
    this.#put(entry)
    return { inserted: true, writing: copyOf(entry) }
  }

  reserve(keyId: Uint8Array, use: DataKeyUse, ceiling: DataKeyUse | undefined): StoredDataKey | undefined {
    const entry = this.#stored(keyId)
    if (entry === undefined) return undefined
    const [messages, bytes] = [entry.messages + use.messages, entry.bytes + use.bytes]
    if (ceiling !== undefined) {
      const hasRoom = messages <= ceiling.messages && bytes <= ceiling.bytes
      if (!hasRoom || entry.state !== 'writing') return undefined
    }
    return copyOf(this.#put({ ...entry, messages, bytes, updatedAt: new Date() }))
  }

  release(portions: readonly DataKeyPortion[]): void {
    checkDistinct(portions)
    for (const { keyId, messages, bytes } of portions) {
      const entry = this.#stored(keyId)
      if (entry === undefined) continue
      this.#put({
        ...entry,
        messages: Math.max(0, entry.messages - messages),
        bytes: Math.max(0, entry.bytes - bytes),
        updatedAt: new Date(),
      })
    }
  }

  move(keyId: Uint8Array, from: DataKeyState, to: DataKeyState): boolean {
    checkMove(from, to)
    const entry = this.#stored(keyId)
    if (entry?.state !== from) return false
    this.#put({ ...entry, state: to, updatedAt: new Date() })
    return true
  }

  replaceWrappedKeys(changes: readonly WrappedKeyChange[]): boolean[] {
    checkChanges(changes)
    return changes.map((change) => this.#replace(change))
  }

  setTag(keyId: Uint8Array, tag: Uint8Array): boolean {
    const entry = this.#stored(keyId)
    if (entry !== undefined) this.#put({ ...entry, tag: copyBytes(tag), updatedAt: new Date() })
    return entry !== undefined
  }

  page({ after, limit, owner }: PageOptions): StoredDataKey[] {
    const start = after && toHex(after)
    const wanted = owner && ownerText(owner)
    return this.entries()
      .filter((entry) => entry.state !== 'destroyed')
      .filter((entry) => start === undefined || toHex(entry.keyId) > start)
      .filter((entry) => wanted === undefined || ownerText(entry) === wanted)
      .slice(0, limit)
      .map(copyOf)
  }

  destroy(keyId: Uint8Array): boolean {
    const entry = this.#stored(keyId)
    if (entry === undefined) return false
    this.#put({ keyId: entry.keyId, state: 'destroyed', destroyedAt: new Date() })
    return true
  }

  #replace({ keyId, expected, replacement, stopWriting }: WrappedKeyChange): boolean {
    const entry = this.#stored(keyId)
    if (entry === undefined || !equalBytes(entry.wrappedKey, expected)) return false
    const state = stopWriting && entry.state === 'writing' ? 'reading' : entry.state
    this.#put({ ...entry, wrappedKey: copyBytes(replacement), state, updatedAt: new Date() })
    return true
  }

  #put<T extends Entry>(entry: T): T {
    this.#entries.set(toHex(entry.keyId), entry)
    this.#isChanged = true
    return entry
  }

  #stored(keyId: Uint8Array): StoredDataKey | undefined {
    const entry = this.#entries.get(toHex(keyId))
    return entry?.state === 'destroyed' ? undefined : entry
  }

  /** The youngest first. */
  #writing(owner: DataKeyOwner): StoredDataKey[] {
    const wanted = ownerText(owner)
    return [...this.#entries.values()]
      .filter((entry) => entry.state !== 'destroyed')
      .filter((entry) => entry.state === 'writing' && ownerText(entry) === wanted)
      .toSorted(
        (a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (toHex(a.keyId) < toHex(b.keyId) ? 1 : -1),
      )
  }
}

/** What goes out shares no bytes with what is kept. */
function copyOf<T extends Entry>(entry: T): T {
  const copy = { ...entry, keyId: copyBytes(entry.keyId) }
  if (!('wrappedKey' in entry)) return copy
  const { wrappedKey, tag } = entry
  return { ...copy, wrappedKey: copyBytes(wrappedKey), ...(tag && { tag: copyBytes(tag) }) }
}
