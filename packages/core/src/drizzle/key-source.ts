/** Where encrypted columns get their keys from. */

import type { DataKeyHandle } from '../keys/keyring-handle.ts'
import type { BlindIndexKey } from '../keys/keyring-index.ts'

/** A key, or where to get it when it is needed: a schema can then be imported without any key being there. */
export type KeySource<K> = K | (() => K | Promise<K>)

/** Where the key of blind indexes comes from. */
export type IndexKeySource = KeySource<BlindIndexKey> | KeySource<DataKeyHandle>

/** The key itself. */
export async function resolved<K extends object>(source: KeySource<K>): Promise<K> {
  return typeof source === 'function' ? await source() : source
}
