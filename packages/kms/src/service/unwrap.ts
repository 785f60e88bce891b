/** Opens stanzas for those who may, and says so in the log before it answers. */

import { canonicalContext, DataKey, equalBytes, parseStanza, toHex } from '@longhold/core'
import type { EncryptionContext, Secret, Stanza } from '@longhold/core'

import { auditItems, itemError } from './batch.ts'
import type { ItemResult } from './batch.ts'
import { requireIssued } from './data-keys.ts'
import type { DecapsulationQueue } from './decapsulation-queue.ts'
import { integrityViolation, notFound, ServiceError, unwrapFailed } from './errors.ts'
import type { Identities } from './identities.ts'
import { requireUnwrapping } from './key-uses.ts'
import type { Ledger } from './ledger.ts'
import { maySee, mayUse, permissionDenied } from './policy.ts'
import type { Caller, Principal } from './policy.ts'
import type { KeyRow, VersionRow } from './rows.ts'
import { countUses } from './usage.ts'
import type { UsageLog, Uses } from './usage.ts'

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
  readonly usage: UsageLog
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
      const found = rows.get(stanzaName(stanza))
      return { ...known, row: found?.row, answer: await open(options, caller, { item, stanza, found }) }
    }),
  )
  const results = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    for (const one of settled) if (one.status === 'rejected') throw one.reason
    const event = { action: 'unwrap' as const, caller, items: auditItems(results) }
    await options.usage.record(event, usesIn(results))
    return results
  } catch (error) {
    for (const { answer } of results) if (!(answer instanceof ServiceError)) answer.dataKey.wipe()
    throw error
  }
}

/** A version and its key. */
export interface FoundVersion {
  readonly row: VersionRow
  readonly key: KeyRow
}

/** The versions that the stanzas are addressed to, as far as the caller may see their keys. */
export async function findVersions(
  ledger: Ledger,
  principal: Principal,
  stanzas: readonly Pick<Stanza, 'kemId' | 'recipientId'>[],
): Promise<Map<string, FoundVersion>> {
  const ids = new Map(stanzas.map(({ recipientId }) => [toHex(recipientId), recipientId]))
  const rows = await ledger.versionsByRecipientId([...ids.values()])
  const keys = new Map<string, KeyRow>()
  for (const key of new Set(rows.map((row) => row.key))) {
    const row = await ledger.row('keys', { key })
    if (row === undefined) throw integrityViolation(`a version of the key ${key}, which is not there,`)
    if (maySee(principal, key, row.labels)) keys.set(key, row)
  }
  return new Map(
    rows.flatMap((row) => {
      const key = keys.get(row.key)
      return key === undefined ? [] : [[stanzaName(row), { row, key }] as const]
    }),
  )
}

/** Of what was opened, by version. */
export function usesIn(results: readonly ItemResult<{ key: string; version: number }>[]): Uses[] {
  return countUses(results.flatMap(({ answer }) => (answer instanceof ServiceError ? [] : [answer])))
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

interface Parsed {
  readonly item: UnwrapItem
  readonly stanza: Stanza
  readonly found: FoundVersion | undefined
}

async function open(
  { ledger, identities, queue }: OpenerOptions,
  { principal }: Caller,
  { item: { keyId, context }, stanza, found }: Parsed,
): Promise<Unwrapped | ServiceError> {
  if (found === undefined) return notFound('the key it was wrapped for')
  const { row, key } = found
  try {
    if (!mayUse(principal, 'unwrap', key, context)) throw permissionDenied('unwrap')
    requireUnwrapping(key, row, principal, context)
    await requireIssued(ledger, key, keyId)
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
