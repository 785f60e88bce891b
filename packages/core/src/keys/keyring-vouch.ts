/** Keyring keys made, and data keys taken in that were there before (SPEC §12.1). */

import { toHex } from '../bytes.ts'
import { LongholdError, badInput } from '../errors.ts'
import { storeNew } from './keyring-acquire.ts'
import { referenceOf } from './keyring-key.ts'
import { keyringKeyName } from './keyring-names.ts'
import { partsFrom } from './keyring-options.ts'
import type { KeyringOptions } from './keyring-options.ts'
import { checkWrites, unwrapStored } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'

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
      if (inserted) return referenceOf(dataKey)
    } finally {
      dataKey.wipe()
    }
  }
}

/** Gives a data key of the store the tag it must have, whoever stored it. */
export async function vouchFor(keyId: Uint8Array, parts: KeyringParts): Promise<void> {
  const { keyringKey, store } = parts
  checkWrites(parts)
  if (keyringKey === undefined)
    throw badInput(
      'Keyring.vouchFor: the keyring has no keyring key',
      'give openKeyring the option keyringKey',
    )
  const stored = await store.get(keyId)
  if (stored === undefined || stored.state === 'destroyed')
    throw new LongholdError('no_data_key', `the key store does not have data key ${toHex(keyId)}`)
  const dataKey = await unwrapStored(stored, parts)
  try {
    await store.setTag(keyId, await keyringKey.tagOf(dataKey, stored))
  } finally {
    dataKey.wipe()
  }
}
