/** Records opened by their key id alone, whosever they are: at once where the data key is at hand, or once it is. */

import { copyBytes, toHex } from '../bytes.ts'
import { decodeRecord } from '../format/container.ts'
import type { TypedValue } from '../format/value.ts'
import { checkBytes } from '../options.ts'
import type { DataKey, RecordOptions } from './data-key.ts'
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

/** @param where Whose arguments they are, for messages. */
export async function openByKeyId<T>(
  record: Uint8Array,
  options: KeyringRecordOptions,
  { where, open, parts }: { readonly where: string; readonly open: Opening<T>; readonly parts: KeyringParts },
): Promise<T> {
  checkBytes(record, `${where}: record`)
  const { keyContext, recordContext } = recordOptionsFrom(options, where)
  const cached = parts.cache.peek(toHex(decodeRecord(record).keyId))
  if (cached !== undefined) {
    checkKeyContext(cached, keyContext)
    return open(cached.dataKey, record, { recordContext })
  }
  // A copy: callers may use their buffers again while the data key is being loaded.
  const copy = copyBytes(record)
  const held = await holdById(decodeRecord(copy).keyId, parts)
  try {
    checkKeyContext(held, keyContext)
    return open(held.dataKey, copy, { recordContext })
  } finally {
    held.release()
  }
}

/** @throws LongholdError `unavailable` when the data key is not at hand. */
export function openByKeyIdSync<T>(
  record: Uint8Array,
  options: KeyringRecordOptions,
  { where, open, parts }: { readonly where: string; readonly open: Opening<T>; readonly parts: KeyringParts },
): T {
  checkBytes(record, `${where}: record`)
  const { keyContext, recordContext } = recordOptionsFrom(options, where)
  const cached = cachedOrUnavailable({ parts }, decodeRecord(record).keyId)
  checkKeyContext(cached, keyContext)
  return open(cached.dataKey, record, { recordContext })
}
