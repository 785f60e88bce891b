/** What the parts of a keyring share: its keys and its store, and how a data key is wrapped, found and unwrapped. */

import { equalBytes, toHex } from '../bytes.ts'
import { LongholdError, badInput, cannotOpen } from '../errors.ts'
import { decodeWrappedKey, encodeContainer } from '../format/container.ts'
import type { EncryptionContext } from '../format/context.ts'
import type { DataKeyLimits } from './data-key-limits.ts'
import type { DataKey } from './data-key.ts'
import type { Identity } from './identity.ts'
import type { DataKeyCache, HeldKey, LoadedKey } from './keyring-cache.ts'
import type { Policy } from './policy.ts'
import type { Recipient } from './recipient.ts'
import type { DataKeyOwner, PageOptions, StoredDataKey, WrappedKeyStore } from './wrapped-key-store.ts'
import { openHeader, sealHeader } from './wrapped-key.ts'

/** What is vouched for, besides the data key itself. */
export type Vouched = Pick<StoredDataKey, 'name' | 'keyContext' | 'createdAt'>

/** Tells the data keys that keyrings made from those of others (SPEC §12.1). */
export interface Voucher {
  /** The tag a data key must have, 32 bytes. */
  tagOf(dataKey: DataKey, about: Vouched): Promise<Uint8Array>
  /** Whether it has it. */
  accepts(dataKey: DataKey, stored: StoredDataKey): Promise<boolean>
  /** Forgets its secret; it would be opened again. */
  wipe(): void
}

export interface KeyringParts {
  readonly store: WrappedKeyStore
  readonly identities: readonly Identity[]
  /** Whom new data keys are wrapped for; `rewrap` may exchange them. None for a keyring that only reads. */
  recipients: readonly Recipient[]
  /** Without one, every data key of the store is taken for ours. */
  keyringKey: Voucher | undefined
  readonly policy: Policy
  readonly limits: Required<DataKeyLimits>
  readonly cache: DataKeyCache
  /** How long another process's change of a data key may go unnoticed by one that writes under it. */
  readonly refreshMs: number
  readonly now: () => number
  /**
   * Key ids, in hexadecimal, that this keyring itself is moving on or destroying, or was while somebody still at work began:
   * not written under, whoever was about to.
   */
  readonly left: Set<string>
  /** Key ids of index keys by the owner's text, so that a look-up does not search the store each time. */
  readonly indexKeys: Map<string, Uint8Array>
  /** Index keys that are being found or made, by the owner's text, so that those who come together make one. */
  readonly openingIndexKeys: Map<string, Promise<void>>
}

/** @throws LongholdError `bad_input` for a keyring that only reads. */
export function checkWrites({ recipients }: KeyringParts): void {
  if (recipients.length === 0)
    throw badInput(
      'this keyring only reads',
      'it was opened without recipients, for whom data keys are wrapped',
    )
}

/** Data keys of a store in the order of their key ids, page by page. */
export async function* allOf(
  store: WrappedKeyStore,
  which: Omit<PageOptions, 'limit'>,
): AsyncGenerator<StoredDataKey, void, undefined> {
  for (let { after } = which; ;) {
    const page = await store.page({ ...which, after, limit: 100 })
    yield* page
    after = page.at(-1)?.keyId
    if (after === undefined) return
  }
}

/** Data keys of an owner as long as there is one: whoever asks takes each away, and meets those that come meanwhile. */
export async function* untilNoneIsLeft(
  store: WrappedKeyStore,
  owner: DataKeyOwner,
): AsyncGenerator<StoredDataKey, void, undefined> {
  for (;;) {
    const page = await store.page({ owner, limit: 100 })
    if (page.length === 0) return
    yield* page
  }
}

/** @throws LongholdError `bad_input` for a data key in another state than `from`; `unavailable`. */
export async function moveKey(
  keyId: Uint8Array,
  from: 'reading' | 'retired',
  to: 'reading' | 'retired',
  parts: KeyringParts,
): Promise<void> {
  checkWrites(parts)
  if (await parts.store.move(keyId, from, to)) return
  const stored = await parts.store.get(keyId)
  throw badInput(
    `data key ${toHex(keyId)} is ${stored?.state ?? 'not in the store'}, not ${from}`,
    stored?.state === 'writing' ? 'rotate its name first' : undefined,
  )
}

export async function wrapFor(
  recipients: readonly Recipient[],
  dataKey: DataKey,
  keyContext: EncryptionContext,
  { policy }: KeyringParts,
): Promise<Uint8Array> {
  return encodeContainer('wrapped key', await sealHeader(dataKey, recipients, keyContext, policy.readable))
}

/** Opens a stored data key with our identities. The caller wipes it. */
export async function unwrapStored(
  { keyId, wrappedKey, keyContext }: Pick<StoredDataKey, 'keyId' | 'wrappedKey' | 'keyContext'>,
  { identities, policy }: KeyringParts,
): Promise<DataKey> {
  const header = decodeWrappedKey(wrappedKey, policy.readable.stanzaLength)
  const dataKey = await openHeader(header, identities, keyContext, policy.readable)
  // The store may have given us another one than we asked for.
  if (equalBytes(dataKey.keyId, keyId)) return dataKey
  dataKey.wipe()
  throw cannotOpen()
}

/**
 * Opens a stored data key and sees whether the keyring key vouches for it.
 *
 * @throws LongholdError `no_data_key` when it does not and that matters for reading too; what unwrapping throws.
 */
export async function openStored(stored: StoredDataKey, parts: KeyringParts): Promise<LoadedKey> {
  const dataKey = await unwrapStored(stored, parts)
  try {
    const { keyringKey, policy } = parts
    const isVouched = keyringKey === undefined || (await keyringKey.accepts(dataKey, stored))
    if (!isVouched && !policy.readsUnvouched) throw notVouched(stored)
    return { dataKey, owner: stored, createdAt: stored.createdAt, isVouched }
  } catch (error) {
    dataKey.wipe()
    throw error
  }
}

/** Of a data key that is not vouched for: to be told from one that opens wrongly, which is `cannot_open`. */
function notVouched({ keyId }: StoredDataKey): LongholdError {
  return new LongholdError('no_data_key', `the keyring key does not vouch for data key ${toHex(keyId)}`, {
    hint: 'if it can be trusted, whoever stored it: vouchFor takes it in',
  })
}

/**
 * Holds the data key of that id, at hand or from the store.
 *
 * @throws LongholdError `no_data_key`, `destroyed`; `unavailable` for a retired one, or when store or identity could
 * not be asked; `limit_exceeded` when it is too old to be read; what unwrapping throws.
 */
export async function holdById(keyId: Uint8Array, parts: KeyringParts): Promise<HeldKey> {
  return await parts.cache.hold(toHex(keyId), async () => openStored(await findReadable(keyId, parts), parts))
}

async function findReadable(keyId: Uint8Array, { store, policy, now }: KeyringParts): Promise<StoredDataKey> {
  const stored = await store.get(keyId)
  const id = toHex(keyId)
  if (stored === undefined) {
    throw new LongholdError('no_data_key', `the key store has never heard of data key ${id}`, {
      hint: 'the record was written with another store, or its wrapped key was lost: look into backups',
    })
  }
  if (stored.state === 'destroyed') {
    const at = stored.destroyedAt.toISOString()
    throw new LongholdError('destroyed', `data key ${id} was destroyed on purpose, at ${at}`)
  }
  if (stored.state === 'retired') {
    throw new LongholdError('unavailable', `data key ${id} is retired`, {
      hint: 'keyring.reinstate takes it back, if something still needs it',
    })
  }
  policy.checkReadAge(now() - stored.createdAt.getTime())
  return stored
}

/** Recipient ids, in hexadecimal. */
export function recipientIdsOf(wrappedKey: Uint8Array, { policy }: KeyringParts): Set<string> {
  const { stanzas } = decodeWrappedKey(wrappedKey, policy.readable.stanzaLength)
  return new Set(stanzas.map(({ recipientId }) => toHex(recipientId)))
}

export function idsOf(recipients: readonly Recipient[]): Set<string> {
  return new Set(recipients.map(({ recipientId }) => toHex(recipientId)))
}
