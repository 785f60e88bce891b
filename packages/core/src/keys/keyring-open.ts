/** Records opened by their key id alone, whosever they are: at once where the data key is at hand, or once it is. */

import { copyBytes, toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import { decodeRecord } from '../format/container.ts'
import type { TypedValue } from '../format/value.ts'
import { checkBytes } from '../options.ts'
import type { DataKey, RecordOptions } from './data-key.ts'
import type { CachedKey } from './keyring-cache.ts'
import { cachedOrUnavailable } from './keyring-handle.ts'
import { checkKeyContext, recordOptionsFrom } from './keyring-options.ts'
import type { KeyringRecordOptions } from './keyring-options.ts'
import { holdById } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'

type Opening<T> = (dataKey: DataKey, record: Uint8Array, options: RecordOptions) => T

/** What records hold. */
export const opening: { readonly bytes: Opening<Uint8Array>; readonly value: Opening<TypedValue> } = {
  bytes: (dataKey, record, options) => dataKey.decrypt(record, options),
  value: (dataKey, record, options) => dataKey.decryptValue(record, options),
}

interface Call<T> {
  /** Whose arguments they are, for messages. */
  readonly where: string
  readonly open: Opening<T>
  readonly parts: KeyringParts
}

/** Opens a record once its data key is at hand. */
export async function openByKeyId<T>(
  record: Uint8Array,
  options: KeyringRecordOptions,
  call: Call<T>,
): Promise<T> {
  const { parts } = call
  const given = checked(record, options, call)
  const cached = parts.cache.peek(toHex(decodeRecord(record).keyId))
  if (cached !== undefined) return openWith(cached, record, given, call)
  // A copy: callers may use their buffers again while the data key is being loaded.
  const copy = copyBytes(record)
  const held = await holdById(decodeRecord(copy).keyId, parts)
  try {
    return openWith(held, copy, given, call)
  } finally {
    held.release()
  }
}

/** @throws LongholdError `unavailable` when the data key is not at hand. */
export function openByKeyIdSync<T>(record: Uint8Array, options: KeyringRecordOptions, call: Call<T>): T {
  const given = checked(record, options, call)
  return openWith(cachedOrUnavailable(call, decodeRecord(record).keyId), record, given, call)
}

/**
 * Has data keys at hand.
 *
 * @throws LongholdError `limit_exceeded` for more than the cache holds; what `holdById` throws for one of them.
 */
export async function preload(keyIds: readonly Uint8Array[], parts: KeyringParts): Promise<void> {
  const wanted = new Map(keyIds.map((keyId) => [toHex(keyId), keyId]))
  const { maxKeys } = parts.cache
  if (wanted.size > maxKeys) {
    const message = `${wanted.size} data keys at once, the cache holds ${maxKeys}`
    throw new LongholdError('limit_exceeded', message, { hint: 'raise cache.maxKeys of the keyring' })
  }
  const settled = await Promise.allSettled([...wanted.values()].map((keyId) => holdById(keyId, parts)))
  for (const one of settled) if (one.status === 'fulfilled') one.value.release()
  const failure = settled.find((one) => one.status === 'rejected')
  if (failure !== undefined) throw failure.reason
}

function checked<T>(
  record: Uint8Array,
  options: KeyringRecordOptions,
  { where }: Call<T>,
): KeyringRecordOptions {
  checkBytes(record, `${where}: record`)
  return recordOptionsFrom(options, where)
}

function openWith<T>(
  cached: CachedKey,
  record: Uint8Array,
  { keyContext, recordContext }: KeyringRecordOptions,
  { open }: Call<T>,
): T {
  checkKeyContext(cached, keyContext)
  return open(cached.dataKey, record, { recordContext })
}
