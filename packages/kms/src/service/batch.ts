/** What `unwrap` and `rewrap` share: answers item by item, and what of them is logged. */

import { createHash } from 'node:crypto'

import { canonicalContext, LongholdError, toHex } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

import type { AuditItems } from './audit-entry.ts'
import { notFound, ServiceError, unwrapFailed } from './errors.ts'
import type { VersionRow } from './rows.ts'

/** A context above this many canonical bytes is logged as its digest. */
const maxLoggedContextBytes = 1024

/** One item's end. `key` and `version` are set as soon as they are known. */
export interface ItemResult<T> {
  readonly id: string
  readonly keyId: Uint8Array | undefined
  readonly context: EncryptionContext
  readonly row: VersionRow | undefined
  readonly answer: T | ServiceError
}

/** Groups the results of a batch for its one entry: most batches have one key and one context. */
export function auditItems(results: readonly ItemResult<unknown>[]): AuditItems[] {
  const groups = new Map<string, AuditItems>()
  for (const { keyId, context, row, answer } of results) {
    const result = answer instanceof ServiceError ? asProblemCode(answer) : 'done'
    const logged = loggedContext(context)
    const name = JSON.stringify([result, row?.key, row?.version, logged])
    const group = groups.get(name) ?? {
      result,
      key: row?.key,
      version: row?.version,
      context: logged,
      keyIds: [],
    }
    if (keyId !== undefined) group.keyIds.push(toHex(keyId))
    groups.set(name, group)
  }
  return [...groups.values()]
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
