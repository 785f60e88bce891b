/** Data keys made and wrapped here, for writers who shall not choose them; and which of them were. */

import { canonicalContext, DataKey, Secret, toHex, wrapDataKey } from '@longhold/core'
import type { EncryptionContext, Recipient } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import { itemError, loggedContext } from './batch.ts'
import { insert } from './changes.ts'
import type { DecapsulationQueue } from './decapsulation-queue.ts'
import { ServiceError } from './errors.ts'
import type { RowReads } from './key-store.ts'
import { requirePurpose } from './key-uses.ts'
import type { Keys } from './keys.ts'
import type { Caller } from './policy.ts'
import type { KeyRow } from './rows.ts'

export interface DataKeysOptions {
  readonly reads: RowReads
  readonly audit: AuditLog
  readonly keys: Keys
  readonly queue: DecapsulationQueue
  readonly now: () => number
}

export interface NewDataKeys {
  readonly count: number
  readonly context: EncryptionContext
  /** Whether the caller gets the data keys themselves. */
  readonly plaintext: boolean
}

export interface IssuedDataKey {
  readonly keyId: Uint8Array
  readonly wrappedKey: Uint8Array
  /** 32 bytes, when it was asked for; the caller wipes it. */
  readonly dataKey: Secret | undefined
}

/** Makes data keys for the primary version; each is remembered before anybody has it. */
export async function issueDataKeys(
  { audit, keys, queue, now }: DataKeysOptions,
  caller: Caller,
  name: string,
  { count, context, plaintext }: NewDataKeys,
): Promise<{ key: string; version: number; items: IssuedDataKey[] }> {
  const row = await keys.resolve(caller, name)
  requirePurpose(row, 'wrap')
  checkContext(context)
  const { version, recipient } = await keys.primary(row.key)
  const inTurn: Recipient = {
    kemId: recipient.kemId,
    recipientId: recipient.recipientId,
    wrap: (dataKey, bound) => queue.run(() => recipient.wrap(dataKey, bound)),
  }
  const items = await Promise.all(Array.from({ length: count }, () => issue(inTurn, context, plaintext)))
  try {
    const { key } = row
    const issuedAt = now()
    const changes = items.map(({ keyId }) =>
      insert('issued_data_keys', { key, keyId: toHex(keyId), version, issuedAt }),
    )
    const keyIds = items.map(({ keyId }) => toHex(keyId))
    const logged = { result: 'done' as const, key, version, context: loggedContext(context), keyIds }
    const event = { action: 'data-keys.create' as const, caller, key, version, plaintext, items: [logged] }
    if ((await audit.commit(event, changes)) === 'conflict') {
      throw new ServiceError('invalid_state', 'a data key was made twice', { hint: 'try again' })
    }
    return { key, version, items }
  } catch (error) {
    for (const { dataKey } of items) dataKey?.wipe()
    throw error
  }
}

/**
 * What was not made here may have been chosen by whoever wrote it.
 *
 * @throws ServiceError `invalid_state` for a key that opens only data keys made for it, and one that was not.
 */
export async function requireIssued(
  reads: RowReads,
  { key, issuedOnly }: KeyRow,
  keyId: Uint8Array,
): Promise<void> {
  if (!issuedOnly) return
  if ((await reads.row('issued_data_keys', { key, keyId: toHex(keyId) })) !== undefined) return
  throw new ServiceError(
    'invalid_state',
    `the key ${key} opens only data keys that were made by the service`,
    {
      hint: 'this one was not: who wrapped it chose it',
    },
  )
}

async function issue(
  recipient: Recipient,
  context: EncryptionContext,
  plaintext: boolean,
): Promise<IssuedDataKey> {
  const dataKey = DataKey.generate()
  try {
    const wrappedKey = await wrapDataKey(dataKey, { recipients: [recipient], keyContext: context })
    const secret = plaintext ? dataKey.use((bytes) => Secret.copyOf(bytes)) : undefined
    return { keyId: dataKey.keyId, wrappedKey, dataKey: secret }
  } finally {
    dataKey.wipe()
  }
}

function checkContext(context: EncryptionContext): void {
  try {
    canonicalContext(context)
  } catch (error) {
    throw itemError(error)
  }
}
