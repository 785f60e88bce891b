/**
 * How a process comes by a data key to write under: the one that is writing, or a new one, and a portion of it that is
 * counted in the store before anything is encrypted.
 */

import { toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { blockFor, isDue } from './data-key-limits.ts'
import { DataKey } from './data-key.ts'
import type { HeldKey } from './keyring-cache.ts'
import { idsOf, recipientIdsOf, unwrapStored, wrapFor } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { DataKeyOwner, DataKeyUse, StoredDataKey } from './wrapped-key-store.ts'

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
  return await attempts(owner, async () => {
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
  return await attempts(owner, async () => {
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

async function attempts(
  { name }: DataKeyOwner,
  attempt: () => Promise<Acquired | undefined>,
): Promise<Acquired> {
  for (let count = 0; count < maxAttempts; count++) {
    const acquired = await attempt()
    if (acquired !== undefined) return acquired
  }
  throw new LongholdError('unavailable', `other processes keep replacing the data key of "${name}"`, {
    hint: 'do all of them have the same recipients?',
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

/** `undefined` for one that is not for our identities: we then make one that is. */
async function holdStored(found: StoredDataKey, parts: KeyringParts): Promise<HeldKey | undefined> {
  try {
    return await parts.cache.hold(toHex(found.keyId), async () => ({
      dataKey: await unwrapStored(found, parts),
      owner: found,
    }))
  } catch (error) {
    if (error instanceof LongholdError && error.code === 'not_a_recipient') return undefined
    throw error
  }
}

/**
 * A new data key, stored, and opened with one of our identities before that: what nobody here can open is not written
 * under.
 *
 * @returns `undefined` when another process was faster.
 */
async function make(
  owner: DataKeyOwner,
  expected: Uint8Array | undefined,
  wanted: DataKeyUse,
  parts: KeyringParts,
): Promise<Acquired | undefined> {
  const { store, limits, cache, now } = parts
  const block = blockFor(limits, { used: { messages: 0, bytes: 0 }, wanted, blocks: 0 })
  if (block === undefined) throw new LongholdError('limit_exceeded', 'more at once than a data key is for')
  const { dataKey, wrappedKey } = await newDataKey(owner, parts)
  try {
    const { keyId } = dataKey
    const { inserted, writing } = await store.insertWriting(
      { ...owner, ...block, keyId, wrappedKey, createdAt: new Date(now()) },
      expected,
    )
    if (inserted) return { held: cache.adopt(dataKey, owner), stored: writing, block }
  } catch (error) {
    dataKey.wipe()
    throw error
  }
  dataKey.wipe()
  return undefined
}

/** A fresh data key as one of our identities opened it. The caller wipes it. */
export async function newDataKey(
  { keyContext }: DataKeyOwner,
  parts: KeyringParts,
): Promise<{ dataKey: DataKey; wrappedKey: Uint8Array }> {
  const generated = DataKey.generate()
  try {
    const { keyId } = generated
    const wrappedKey = await wrapFor(parts.recipients, generated, keyContext, parts)
    return { dataKey: await unwrapStored({ keyId, wrappedKey, keyContext }, parts), wrappedKey }
  } finally {
    generated.wipe()
  }
}
