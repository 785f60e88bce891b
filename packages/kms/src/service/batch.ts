/** What `unwrap` and `rewrap` share: answers item by item, and what of them is logged. */

import { createHash } from 'node:crypto'

import { canonicalContext, LongholdError, toHex } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

import type { AuditItems } from './audit-entry.ts'
import { notFound, ServiceError, unwrapFailed } from './errors.ts'
import type { VersionRow } from './rows.ts'

/** A context above this many canonical bytes is logged as its digest. */
const maxLoggedContextBytes = 1024
/** Of refused items: what the caller says they are is not verified. */
const maxRefusedKeyIds = 8

/** One item's end. `key` and `version` are set as soon as they are known. */
export interface ItemResult<T> {
  readonly id: string
  readonly keyId: Uint8Array | undefined
  readonly context: EncryptionContext
  readonly row: VersionRow | undefined
  readonly answer: T | ServiceError
}

/**
 * Groups the results of a batch for its one entry: most batches have one key and one context. What was refused is
 * summarised, since whoever sends it chose every byte of it: his entries are not to fill the log.
 */
export function auditItems(results: readonly ItemResult<unknown>[]): AuditItems[] {
  const done = new Map<string, AuditItems>()
  const refused = new Map<string, Refusals>()
  for (const [index, { keyId, context, row, answer }] of results.entries()) {
    const logged = loggedContext(context)
    const about = { key: row?.key, version: row?.version }
    if (answer instanceof ServiceError) {
      const result = asProblemCode(answer)
      const name = JSON.stringify([result, about])
      const group: Refusals = refused.get(name) ?? {
        result,
        ...about,
        contexts: new Map(),
        keyIds: [],
        indices: [],
      }
      group.contexts.set(JSON.stringify(logged), logged)
      if (keyId !== undefined && group.keyIds.length < maxRefusedKeyIds) group.keyIds.push(toHex(keyId))
      group.indices.push(index)
      refused.set(name, group)
      continue
    }
    const name = JSON.stringify([about, logged])
    const group = done.get(name) ?? { result: 'done', ...about, context: logged, keyIds: [] }
    if (keyId !== undefined) group.keyIds.push(toHex(keyId))
    done.set(name, group)
  }
  return [...done.values(), ...[...refused.values()].map(summary)]
}

interface Refusals {
  readonly result: AuditItems['result']
  readonly key: string | undefined
  readonly version: number | undefined
  readonly contexts: Map<string, AuditItems['context']>
  readonly keyIds: string[]
  readonly indices: number[]
}

function summary({ result, key, version, contexts, keyIds, indices }: Refusals): AuditItems {
  const [context] = contexts.size === 1 ? contexts.values() : []
  return { result, key, version, context, keyIds, count: indices.length, indices: rangesOf(indices) }
}

/** As in `0-3,7`. */
function rangesOf(ascending: readonly number[]): string {
  const ranges: { first: number; last: number }[] = []
  for (const index of ascending) {
    const range = ranges.at(-1)
    if (range !== undefined && range.last === index - 1) range.last = index
    else ranges.push({ first: index, last: index })
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',')
}

/**
 * Turns what went wrong with one item into its answer.
 *
 * @throws ServiceError what is wrong with the service rather than the item; anything unknown as it is.
 */
export function itemError(error: unknown): ServiceError {
  if (error instanceof LongholdError) {
    switch (error.code) {
      case 'cannot_open':
        return unwrapFailed()
      case 'not_a_recipient':
        return notFound('the key it was wrapped for')
      case 'unavailable':
        throw error
      default:
        return new ServiceError('malformed_request', error.message)
    }
  }
  if (error instanceof ServiceError && itemCodes.has(error.code)) return error
  throw error
}

const itemCodes: ReadonlySet<string> = new Set([
  'malformed_request',
  'not_found',
  'permission_denied',
  'invalid_state',
  'recipient_unknown',
  'unwrap_failed',
])

function asProblemCode(error: ServiceError): AuditItems['result'] {
  // Items end in codes of `itemCodes` only, which are all codes of problems.
  return error.code as AuditItems['result']
}

/** As pairs when short, else as the SHA-256 of its canonical bytes. */
export function loggedContext(context: EncryptionContext): AuditItems['context'] {
  try {
    const canonical = canonicalContext(context)
    if (canonical.length <= maxLoggedContextBytes) return context
    return createHash('sha256').update(canonical).digest('hex')
  } catch {
    // A context that is none was refused as such; its bytes are not worth keeping.
    return []
  }
}
