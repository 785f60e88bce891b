/**
 * The data keys of blind indexes. They encrypt nothing and stay the same: an index under another key finds none of the
 * rows there are. They are stored like the others, under names that no record is written under.
 */

import { LongholdError } from '../errors.ts'
import { blindIndex } from './blind-index.ts'
import type { BlindIndexOptions } from './blind-index.ts'
import { attempts, storeNew } from './keyring-acquire.ts'
import type { HeldKey } from './keyring-cache.ts'
import { holdById } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import { ownerText } from './wrapped-key-store.ts'
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

/** Finds the index key of an owner, or makes it; of callers and of processes that race, all get the same. */
export async function openIndexKey(owner: DataKeyOwner, parts: KeyringParts): Promise<HeldKey> {
  const text = ownerText(owner)
  const underWay = parts.openingIndexKeys.get(text)
  // Whoever comes meanwhile hears of its failure too, and holds the key for himself.
  if (underWay !== undefined) await underWay
  if (underWay !== undefined || parts.indexKeys.has(text)) {
    const held = await findIndexKey(owner, parts)
    if (held !== undefined) return held
    if (parts.openingIndexKeys.has(text)) return await openIndexKey(owner, parts)
  }
  const opening = findOrMakeIndexKey(owner, parts)
  const opened = opening.then(() => undefined)
  opened.catch(() => undefined) // told below
  parts.openingIndexKeys.set(text, opened)
  try {
    return await opening
  } finally {
    parts.openingIndexKeys.delete(text)
  }
}

async function findOrMakeIndexKey(owner: DataKeyOwner, parts: KeyringParts): Promise<HeldKey> {
  return await attempts(owner.name, async () => {
    // Looked at first: what is writing and yet not found is not ours, and has to give way.
    const before = await parts.store.findWriting(owner)
    return (await findIndexKey(owner, parts)) ?? (await makeIndexKey(owner, before?.keyId, parts))
  })
}

/** The index key of an owner, the oldest that counts; `undefined` when there is none. Makes nothing. */
export async function findIndexKey(owner: DataKeyOwner, parts: KeyringParts): Promise<HeldKey | undefined> {
  const text = ownerText(owner)
  const known = parts.indexKeys.get(text)
  const ids = known === undefined ? await oldestFirst(owner, parts) : [known]
  for (const keyId of ids) {
    const held = await holdIfUsable(keyId, parts)
    if (held === undefined) continue
    remember(text, keyId, parts)
    return held
  }
  if (!parts.indexKeys.delete(text)) return undefined
  return await findIndexKey(owner, parts)
}

/** Not one that was destroyed meanwhile, nor one that is not vouched for: it would show what is looked up. */
async function holdIfUsable(keyId: Uint8Array, parts: KeyringParts): Promise<HeldKey | undefined> {
  try {
    const held = await holdById(keyId, parts)
    if (held.isVouched) return held
    held.release()
    return undefined
  } catch (error) {
    const { code } = error instanceof LongholdError ? error : { code: undefined }
    if (code === 'destroyed' || code === 'no_data_key') return undefined
    throw error
  }
}

/** Whatever their state: one that was moved by hand still has all the rows. */
async function oldestFirst(owner: DataKeyOwner, { store }: KeyringParts): Promise<Uint8Array[]> {
  const found: StoredDataKey[] = []
  for (;;) {
    const page = await store.page({ owner, after: found.at(-1)?.keyId, limit: 50 })
    if (page.length === 0) break
    found.push(...page)
  }
  return found.toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime()).map(({ keyId }) => keyId)
}

/** `undefined` when another process was faster. */
async function makeIndexKey(
  owner: DataKeyOwner,
  expected: Uint8Array | undefined,
  parts: KeyringParts,
): Promise<HeldKey | undefined> {
  const { dataKey, inserted } = await storeNew(owner, { messages: 0, bytes: 0 }, expected, parts)
  if (inserted) {
    remember(ownerText(owner), dataKey.keyId, parts)
    return parts.cache.adopt(dataKey, owner)
  }
  dataKey.wipe()
  return undefined
}

function remember(owner: string, keyId: Uint8Array, { indexKeys, cache }: KeyringParts): void {
  if (indexKeys.size >= cache.maxKeys) indexKeys.clear()
  indexKeys.set(owner, keyId)
}
