/** What may be done with a version, by its state, its key and who asks: every use asks here. */

import type { EncryptionContext } from '@longhold/core'

import { ServiceError } from './errors.ts'
import { mayUse, permissionDenied } from './policy.ts'
import type { Principal } from './policy.ts'
import type { KeyRow, VersionRow } from './rows.ts'
import { versionStates } from './states.ts'

type Use = Pick<VersionRow, 'key' | 'version' | 'state'>

/** @throws ServiceError `invalid_state` for a key that does nothing, `permission_denied` for a compromised version. */
export function requireUnwrapping(
  key: KeyRow,
  version: Use,
  principal: Principal,
  context: EncryptionContext,
): void {
  requireEnabled(key)
  requirePurpose(key, 'wrap')
  requireOpening(key, version, principal, context)
}

/** The same for the shared secrets of a `raw-kem` key. */
export function requireDecapsulating(key: KeyRow, version: Use, principal: Principal): void {
  requireEnabled(key)
  requirePurpose(key, 'raw-kem')
  requireOpening(key, version, principal)
}

/** Versions below `minUnwrapVersion` too: that is how what they wrapped gets out. */
export function requireRewrapping(key: KeyRow, version: Use): void {
  requireEnabled(key)
  requirePurpose(key, 'wrap')
  if (!versionStates[version.state].rewrapFrom) throw notUnwrapping(version)
}

/** For writers. */
export function requireEnabled({ key, enabled }: KeyRow): void {
  if (enabled) return
  throw new ServiceError('invalid_state', `the key ${key} is not enabled`, {
    hint: 'somebody stopped all its uses; who may loosen the protection of keys can enable it again',
  })
}

/**
 * A key that wraps data keys never decapsulates for others: that would be unwrap without key id, context and policy.
 *
 * @throws ServiceError `invalid_state`.
 */
export function requirePurpose({ key, purpose }: KeyRow, wanted: KeyRow['purpose']): void {
  if (purpose === wanted) return
  throw new ServiceError('invalid_state', `the purpose of the key ${key} is ${purpose}, not ${wanted}`, {
    hint: 'a purpose is for ever: make another key',
  })
}

function requireOpening(key: KeyRow, version: Use, principal: Principal, context?: EncryptionContext): void {
  const { unwrapTakes } = versionStates[version.state]
  if (unwrapTakes === null) throw notUnwrapping(version)
  if (unwrapTakes !== 'unwrap' && !mayUse(principal, unwrapTakes, key, context))
    throw permissionDenied(unwrapTakes)
  if (version.version < key.minUnwrapVersion) {
    const oldest = `versions of ${key.key} below ${key.minUnwrapVersion} do not unwrap`
    throw new ServiceError('invalid_state', oldest, { hint: 'rewrap what is wrapped for them' })
  }
}

function notUnwrapping({ key, version, state }: Use): ServiceError {
  return new ServiceError('invalid_state', `version ${version} of ${key} is ${state} and does not unwrap`, {
    hint: 'if that is meant to be over, set the version to unwrap_only',
  })
}
