/** Keyring keys made, and data keys taken in that were there before (SPEC §12.1). */

import { toHex } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { storeNew } from './keyring-acquire.ts'
import { referenceTo } from './keyring-key.ts'
import { keyringKeyName } from './keyring-names.ts'
import { keyIdsFrom, partsFrom } from './keyring-options.ts'
import type { KeyringOptions } from './keyring-options.ts'
import { checkWrites, unwrapStored } from './keyring-parts.ts'

/**
 * Makes a keyring key (SPEC §12.1) and stores it: opened with its reference, a keyring uses only data keys that were made
 * by keyrings opened so, or vouched for. Once for a store; another one takes its place when somebody who could open it
 * loses access.
 *
 * @param options As for `openKeyring`.
 * @returns Its reference, 64 characters, not secret: for the configuration, where who writes to the store does not.
 * @throws LongholdError what `openKeyring` throws; `unavailable`; `not_a_recipient` when none of the identities is among
 * the recipients.
 */
export async function makeKeyringKey(options: KeyringOptions): Promise<string> {
  const parts = partsFrom(options, Date.now)
  const owner = { name: keyringKeyName, keyContext: [] }
  for (;;) {
    const before = await parts.store.findWriting(owner)
    const { dataKey, inserted } = await storeNew(owner, { messages: 0, bytes: 0 }, before?.keyId, parts)
    try {
      // Otherwise somebody has just made another one: ours comes after it.
      if (inserted) return referenceTo(dataKey).toString()
    } finally {
      dataKey.wipe()
    }
  }
}

/**
 * Takes in data keys that were stored without the keyring key (SPEC §12.1): before there was one, or by `longhold reencrypt` without `--keyring-key`. Whoever
 * stored one may know it, so first see that it is what it should be.
 *
 * @param keyIds Of 16 bytes each.
 * @param options As for `openKeyring`, `keyringKey` among them.
 * @throws LongholdError `bad_input` without a keyring key; `no_data_key` for one that is not in the store; `unavailable`;
 * what unwrapping throws. Those before it are taken in.
 */
export async function vouchFor(keyIds: readonly Uint8Array[], options: KeyringOptions): Promise<void> {
  const parts = partsFrom(options, Date.now)
  const { keyringKey, store } = parts
  checkWrites(parts)
  if (keyringKey === undefined) throw badInput('vouchFor: the option keyringKey is required')
  const ids = keyIdsFrom(keyIds, 'vouchFor')
  try {
    for (const keyId of ids) {
      const stored = await store.get(keyId)
      if (stored === undefined || stored.state === 'destroyed')
        throw new LongholdError('no_data_key', `the key store does not have data key ${toHex(keyId)}`)
      using dataKey = await unwrapStored(stored, parts)
      await store.setTag(keyId, await keyringKey.tagOf(dataKey, stored))
    }
  } finally {
    keyringKey.wipe()
  }
}
