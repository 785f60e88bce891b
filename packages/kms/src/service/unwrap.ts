/** Opens stanzas for those who may, and says so in the log before it answers. */

import { canonicalContext, DataKey, equalBytes, parseStanza, toHex } from '@longhold/core'
import type { EncryptionContext, Secret, Stanza } from '@longhold/core'

import type { AuditLog } from './audit-log.ts'
import { auditItems, itemError } from './batch.ts'
import type { ItemResult } from './batch.ts'
import type { DecapsulationQueue } from './decapsulation-queue.ts'
import { notFound, ServiceError, unwrapFailed } from './errors.ts'
import type { Identities } from './identities.ts'
import type { Ledger } from './ledger.ts'
import { maySee } from './policy.ts'
import type { Caller, Principal } from './policy.ts'
import type { VersionRow } from './rows.ts'
import { versionStates } from './states.ts'

export interface UnwrapItem {
  readonly id: string
  /** 16 bytes. */
  readonly keyId: Uint8Array
  readonly stanza: Uint8Array
  readonly context: EncryptionContext
}

export interface Unwrapped {
  /** 32 bytes; the caller wipes it. */
  readonly dataKey: Secret
  readonly key: string
  readonly version: number
}

export interface OpenerOptions {
  readonly ledger: Ledger
  readonly identities: Identities
  readonly queue: DecapsulationQueue
  readonly audit: AuditLog
}

/**
 * One answer for each item, in order.
 *
 * @throws ServiceError `audit_unavailable`, `storage_unavailable`, `integrity_violation`: then for all of them.
 */
export async function unwrap(
  options: OpenerOptions,
  caller: Caller,
  items: readonly UnwrapItem[],
): Promise<ItemResult<Unwrapped>[]> {
  const parsed = items.map(parse)
  const rows = await findVersions(
    options.ledger,
    caller.principal,
    parsed.flatMap(({ stanza }) => (stanza instanceof ServiceError ? [] : [stanza])),
  )
  const settled = await Promise.allSettled(
    parsed.map(async ({ item, stanza }): Promise<ItemResult<Unwrapped>> => {
      const known = { id: item.id, keyId: item.keyId, context: item.context }
      if (stanza instanceof ServiceError) return { ...known, row: undefined, answer: stanza }
      const row = rows.get(stanzaName(stanza))
      return { ...known, row, answer: await open(options, item, stanza, row) }
    }),
  )
  const results = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    for (const one of settled) if (one.status === 'rejected') throw one.reason
    await options.audit.record({ action: 'unwrap', caller, items: auditItems(results) })
    return results
  } catch (error) {
    for (const { answer } of results) if (!(answer instanceof ServiceError)) answer.dataKey.wipe()
    throw error
  }
}

/** The versions that the stanzas are addressed to, as far as the caller may see their keys. */
export async function findVersions(
  ledger: Ledger,
  principal: Principal,
  stanzas: readonly Pick<Stanza, 'kemId' | 'recipientId'>[],
): Promise<Map<string, VersionRow>> {
  const ids = new Map(stanzas.map(({ recipientId }) => [toHex(recipientId), recipientId]))
  const rows = await ledger.versionsByRecipientId([...ids.values()])
  return new Map(rows.filter(({ key }) => maySee(principal, key)).map((row) => [stanzaName(row), row]))
}

/** A stanza and its version have the same. */
export function stanzaName({ kemId, recipientId }: Pick<Stanza, 'kemId' | 'recipientId'>): string {
  return `${kemId} ${toHex(recipientId)}`
}

function parse(item: UnwrapItem): { item: UnwrapItem; stanza: Stanza | ServiceError } {
  try {
    canonicalContext(item.context)
    return { item, stanza: parseStanza(item.stanza) }
  } catch (error) {
    return { item, stanza: itemError(error) }
  }
}

async function open(
  { identities, queue }: OpenerOptions,
  { keyId, context }: UnwrapItem,
  stanza: Stanza,
  row: VersionRow | undefined,
): Promise<Unwrapped | ServiceError> {
  if (row === undefined) return notFound('the key it was wrapped for')
  if (!versionStates[row.state].unwrap) return notUnwrapping(row)
  try {
    const dataKey = await queue.run(async () =>
      identities.get(row).unwrap(stanza, { keyId, keyContext: context }),
    )
    if (hasKeyId(dataKey, keyId)) return { dataKey, key: row.key, version: row.version }
    dataKey.wipe()
    return unwrapFailed()
  } catch (error) {
    return itemError(error)
  }
}

export function notUnwrapping({ key, version, state }: VersionRow): ServiceError {
  return new ServiceError('invalid_state', `version ${version} of ${key} is ${state} and does not unwrap`, {
    hint: 'if that is meant to be over, set the version to unwrap_only',
  })
}

/** Before anything is answered, decided or logged (SPEC §3). */
function hasKeyId(secret: Secret, keyId: Uint8Array): boolean {
  if (secret.length !== 32) return false
  const dataKey = secret.use((bytes) => DataKey.from(bytes))
  try {
    return equalBytes(dataKey.keyId, keyId)
  } finally {
    dataKey.wipe()
  }
}
