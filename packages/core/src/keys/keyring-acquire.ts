/**
 * How a process comes by a data key to write under: the one that is writing, or a new one, and a portion of it that is
 * counted in the store before anything is encrypted.
 */

import { toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { blockFor, isDue } from './data-key-limits.ts'
import { DataKey } from './data-key.ts'
import type { HeldKey } from './keyring-cache.ts'
import { checkWrites, idsOf, openStored, recipientIdsOf, unwrapStored, wrapFor } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { DataKeyOwner, DataKeyUse, StoredDataKey, WritingKeyAnswer } from './wrapped-key-store.ts'

/** A data key, held, and what of it is reserved. */
export interface Acquired {
  readonly held: HeldKey
  readonly stored: StoredDataKey
  readonly block: DataKeyUse
}

/** Each attempt that fails means that another process has just changed the writing key. */
const maxAttempts = 20

/** The data key that is writing, if it will do, else a new one. */
export async function findOrMake(
  owner: DataKeyOwner,
  wanted: DataKeyUse,
  parts: KeyringParts,
): Promise<Acquired> {
  checkWrites(parts)
  return await attempts(owner.name, async () => {
    const found = await parts.store.findWriting(owner)
    const adopted = found && isUsable(found, parts) ? await adopt(found, wanted, parts) : undefined
    return adopted ?? (await make(owner, found?.keyId, wanted, parts))
  })
}

/** A new data key in place of the one that is writing, whatever that is. */
export async function makeNext(
  owner: DataKeyOwner,
  wanted: DataKeyUse,
  parts: KeyringParts,
): Promise<Acquired> {
  checkWrites(parts)
  return await attempts(owner.name, async () => {
    const before = await parts.store.findWriting(owner)
    return await make(owner, before?.keyId, wanted, parts)
  })
}

/** Others reserve too: what does not fit any more is asked for once again in a smaller portion. */
export async function reserveFrom(
  keyId: Uint8Array,
  {
    known,
    wanted,
    blocks,
  }: { readonly known: DataKeyUse; readonly wanted: DataKeyUse; readonly blocks: number },
  { store, limits }: KeyringParts,
): Promise<Omit<Acquired, 'held'> | 'full' | 'not writing'> {
  const ceiling = { messages: limits.maxMessages, bytes: limits.maxBytes }
  let used = known
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const block = blockFor(limits, { used, wanted, blocks })
    if (block === undefined) return 'full'
    const stored = await store.reserve(keyId, block, ceiling)
    if (stored !== undefined) return { stored, block }
    const now = await store.get(keyId)
    if (now?.state !== 'writing') return 'not writing'
    used = now
  }
  return 'full'
}

/** What one of several attempts gives; `undefined` is one that failed because another process was faster. */
export async function attempts<T>(name: string, attempt: () => Promise<T | undefined>): Promise<T> {
  for (let count = 0; count < maxAttempts; count++) {
    const result = await attempt()
    if (result !== undefined) return result
  }
  throw new LongholdError('unavailable', `other processes keep replacing the data key of "${name}"`, {
    hint: 'do all of them have the same recipients, and the same keyring key?',
  })
}

/**
 * Not near its end, and nobody but our recipients, who are of suites that may be written, can open it: those who lost
 * access would read new records.
 */
function isUsable(found: StoredDataKey, parts: KeyringParts): boolean {
  const { limits, recipients, now } = parts
  const ours = idsOf(recipients)
  return (
    !isDue(limits, found, now() - found.createdAt.getTime()) &&
    [...recipientIdsOf(found.wrappedKey, parts)].every((id) => ours.has(id))
  )
}

async function adopt(
  found: StoredDataKey,
  wanted: DataKeyUse,
  parts: KeyringParts,
): Promise<Acquired | undefined> {
  const held = await holdStored(found, parts)
  if (held === undefined) return undefined
  try {
    const reserved = await reserveFrom(found.keyId, { known: found, wanted, blocks: 0 }, parts)
    if (typeof reserved === 'object') return { held, ...reserved }
  } catch (error) {
    held.release()
    throw error
  }
  held.release()
  return undefined
}

/** `undefined` for one that is not for our identities, or not vouched for: we then make one that is. */
async function holdStored(found: StoredDataKey, parts: KeyringParts): Promise<HeldKey | undefined> {
  try {
    const held = await parts.cache.hold(toHex(found.keyId), () => openStored(found, parts))
    if (held.isVouched) return held
    held.release()
    return undefined
  } catch (error) {
    const { code } = error instanceof LongholdError ? error : { code: undefined }
    if (code === 'not_a_recipient' || code === 'no_data_key') return undefined
    throw error
  }
}

/**
 * A new data key, stored, and opened with one of our identities before that: what nobody here can open is not written
 * under.
 *
 * @returns `undefined` when another process was faster, or it is for recipients who are not the keyring's any more.
 */
async function make(
  owner: DataKeyOwner,
  expected: Uint8Array | undefined,
  wanted: DataKeyUse,
  parts: KeyringParts,
): Promise<Acquired | undefined> {
  const block = blockFor(parts.limits, { used: { messages: 0, bytes: 0 }, wanted, blocks: 0 })
  if (block === undefined) throw new LongholdError('limit_exceeded', 'more at once than a data key is for')
  const { recipients } = parts
  const { dataKey, inserted, writing } = await storeNew(owner, block, expected, parts)
  // A rewrap may have exchanged the recipients meanwhile, and passed the place in the store where this one is now.
  if (inserted && recipients === parts.recipients)
    return { held: parts.cache.adopt(dataKey, owner), stored: writing, block }
  dataKey.wipe()
  return undefined
}

/** Makes a data key, vouches for it and stores it, if `expected` is still the one that is writing. The caller wipes it. */
export async function storeNew(
  owner: DataKeyOwner,
  use: DataKeyUse,
  expected: Uint8Array | undefined,
  parts: KeyringParts,
): Promise<WritingKeyAnswer & { readonly dataKey: DataKey }> {
  const { dataKey, wrappedKey } = await newDataKey(owner, parts)
  try {
    const about = { ...owner, createdAt: new Date(parts.now()) }
    const tag = await parts.keyringKey?.tagOf(dataKey, about)
    const answer = await parts.store.insertWriting(
      { ...about, ...use, keyId: dataKey.keyId, wrappedKey, tag },
      expected,
    )
    return { ...answer, dataKey }
  } catch (error) {
    dataKey.wipe()
    throw error
  }
}

/** A fresh data key as one of our identities opened it. The caller wipes it. */
async function newDataKey(
  { keyContext }: DataKeyOwner,
  parts: KeyringParts,
): Promise<{ dataKey: DataKey; wrappedKey: Uint8Array }> {
  checkWrites(parts)
  const generated = DataKey.generate()
  try {
    const { keyId } = generated
    const wrappedKey = await wrapFor(parts.recipients, generated, keyContext, parts)
    return { dataKey: await unwrapStored({ keyId, wrappedKey, keyContext }, parts), wrappedKey }
  } finally {
    generated.wipe()
  }
}
