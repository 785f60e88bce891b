/** Decapsulation for other users of HPKE (RFC 9180 §4.1), for keys that were made for it and nothing else. */

import { defaultSuite, LongholdError, Secret } from '@longhold/core'

import type { DecapsulationQueue } from './decapsulation-queue.ts'
import { ServiceError, unwrapFailed } from './errors.ts'
import type { Identities } from './identities.ts'
import { requireDecapsulating } from './key-uses.ts'
import type { Keys } from './keys.ts'
import type { Caller } from './policy.ts'
import type { UsageLog } from './usage.ts'
import type { Versions } from './versions.ts'

export interface RawKemOptions {
  readonly keys: Keys
  readonly versions: Versions
  readonly identities: Identities
  readonly queue: DecapsulationQueue
  readonly usage: UsageLog
}

/**
 * @returns 32 bytes; the caller wipes them.
 * @throws ServiceError `invalid_state` for another purpose or state, `unwrap_failed`.
 */
export async function decapsulate(
  { keys, versions, identities, queue, usage }: RawKemOptions,
  caller: Caller,
  key: string,
  number: number,
  encapsulatedKey: Uint8Array,
): Promise<Secret> {
  const row = await keys.row(caller, key)
  const version = await versions.get(caller, key, number)
  requireDecapsulating(row, version, caller.principal)
  const { kem } = defaultSuite
  if (encapsulatedKey.length !== kem.encapsulatedKeyBytes) {
    throw new ServiceError('malformed_request', `an encapsulated key has ${kem.encapsulatedKeyBytes} bytes`)
  }
  const event = { action: 'decapsulate' as const, caller, key, version: number }
  let secret: Secret
  try {
    secret = await queue.run(async () =>
      identities
        .get(version)
        .useSeed((seed) => Secret.take(own(kem.decapsulationKey(seed).decapsulate(encapsulatedKey)))),
    )
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code !== 'cannot_open') throw error
    await usage.record({ ...event, result: 'unwrap_failed' }, [])
    throw unwrapFailed()
  }
  try {
    await usage.record({ ...event, result: 'done' }, [{ key, version: number, uses: 1 }])
    return secret
  } catch (error) {
    secret.wipe()
    throw error
  }
}

function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes)
  bytes.fill(0)
  return copy
}
