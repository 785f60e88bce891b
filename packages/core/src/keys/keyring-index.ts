/**
 * The data keys of blind indexes. They encrypt nothing and stay the same: an index under another key finds none of the
 * rows there are. They are stored like the others, under names that no record is written under.
 */

import { blindIndex } from './blind-index.ts'
import type { BlindIndexOptions } from './blind-index.ts'
import { newDataKey } from './keyring-acquire.ts'
import type { HeldKey } from './keyring-cache.ts'
import { holdById } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { DataKeyOwner, StoredDataKey } from './wrapped-key-store.ts'

/** A key for blind indexes (SPEC §8), held until `close` or until its keyring is closed. */
export class BlindIndexKey {
  readonly #held: HeldKey
  #isClosed = false

  constructor(held: HeldKey) {
    this.#held = held
  }

  /** As the function of that name (SPEC §8). Throws `bad_input` also once it, or its keyring, was closed. */
  blindIndex(options: BlindIndexOptions): Uint8Array {
    return blindIndex(this.#held.dataKey, options)
  }

  /** Lets the key go. A second call does nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#held.release()
  }

  /** For `using`: as `close`. */
  [Symbol.dispose](): void {
    this.close()
  }
}

/** Finds the index key of an owner, or makes it; of processes that race, all get the same. */
export async function openIndexKey(owner: DataKeyOwner, parts: KeyringParts): Promise<BlindIndexKey> {
  const stored = (await oldestOf(owner, parts)) ?? (await makeIndexKey(owner, parts))
  return new BlindIndexKey(await holdById(stored.keyId, parts))
}

/** Whatever its state: one that was moved by hand still has all the rows. */
async function oldestOf(owner: DataKeyOwner, { store }: KeyringParts): Promise<StoredDataKey | undefined> {
  let oldest: StoredDataKey | undefined
  let after: Uint8Array | undefined
  for (;;) {
    const page = await store.page({ owner, after, limit: 50 })
    if (page.length === 0) return oldest
    for (const stored of page) {
      if (oldest === undefined || stored.createdAt < oldest.createdAt) oldest = stored
    }
    after = page.at(-1)?.keyId
  }
}

async function makeIndexKey(owner: DataKeyOwner, parts: KeyringParts): Promise<StoredDataKey> {
  const { dataKey, wrappedKey } = await newDataKey(owner, parts)
  try {
    const { keyId } = dataKey
    const stored = { ...owner, keyId, wrappedKey, messages: 0, bytes: 0, createdAt: new Date(parts.now()) }
    const { writing } = await parts.store.insertWriting(stored, undefined)
    return writing
  } finally {
    dataKey.wipe()
  }
}
