/**
 * Wrapped keys in memory. For tests, and for data that ends with the process.
 *
 * @module @longhold/core/stores/memory
 */

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
  WrappedKeyStore,
  WritingKeyAnswer,
} from '../keys/wrapped-key-store.ts'
import { KeyTable } from './key-table.ts'

/** Wrapped keys in memory (SPEC §12 without a place to stay): gone when the process ends. */
export class MemoryKeyStore implements WrappedKeyStore {
  readonly #table = new KeyTable()

  async get(keyId: Uint8Array): Promise<StoredDataKey | DestroyedDataKey | undefined> {
    return this.#table.get(keyId)
  }

  async findWriting(owner: DataKeyOwner): Promise<StoredDataKey | undefined> {
    return this.#table.findWriting(owner)
  }

  async insertWriting(dataKey: NewDataKey, expected: Uint8Array | undefined): Promise<WritingKeyAnswer> {
    return this.#table.insertWriting(dataKey, expected)
  }

  async reserve(
    keyId: Uint8Array,
    use: DataKeyUse,
    ceiling: DataKeyUse | undefined,
  ): Promise<StoredDataKey | undefined> {
    return this.#table.reserve(keyId, use, ceiling)
  }

  async release(portions: readonly DataKeyPortion[]): Promise<void> {
    this.#table.release(portions)
  }

  async move(keyId: Uint8Array, from: DataKeyState, to: DataKeyState): Promise<boolean> {
    return this.#table.move(keyId, from, to)
  }

  async replaceWrappedKeys(changes: readonly WrappedKeyChange[]): Promise<readonly boolean[]> {
    return this.#table.replaceWrappedKeys(changes)
  }

  async setTag(keyId: Uint8Array, tag: Uint8Array): Promise<boolean> {
    return this.#table.setTag(keyId, tag)
  }

  async page(options: PageOptions): Promise<readonly StoredDataKey[]> {
    return this.#table.page(options)
  }

  async destroy(keyId: Uint8Array): Promise<boolean> {
    return this.#table.destroy(keyId)
  }
}
