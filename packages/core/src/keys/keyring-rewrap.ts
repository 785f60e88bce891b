/** All data keys of a store wrapped for new recipients: in key-id order, each only if it is still what was read. */

import { toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { rewrapStopsWriting } from './keyring-names.ts'
import { idsOf, recipientIdsOf, unwrapStored, wrapFor } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { Recipient } from './recipient.ts'
import type { StoredDataKey } from './wrapped-key-store.ts'

/** Where a rewrap of a whole store is; it counts data keys, since this call began. */
export interface RewrapProgress {
  /** They have a new header now. */
  readonly rewrapped: number
  /** They had exactly these recipients already. */
  readonly unchanged: number
  /** Left as they were (key ids of 16 bytes), and why: to be looked at, then tried again. */
  readonly failed: readonly { readonly keyId: Uint8Array; readonly code: ErrorCode }[]
  /** The last key id that was looked at, 16 bytes: what `after` takes to go on from here. */
  readonly after: Uint8Array | undefined
}

/** Unwrapped together: a key service answers many at once. */
const pageSize = 50
/** Each attempt that fails means that somebody else has just rewrapped the same key. */
const maxAttempts = 5

/** @param left Called for each data key that new records must not use any more. */
export async function rewrapStore(
  recipients: readonly Recipient[],
  options: {
    readonly after: Uint8Array | undefined
    readonly onProgress: ((progress: RewrapProgress) => void) | undefined
    readonly left: (keyId: string) => void
  },
  parts: KeyringParts,
): Promise<RewrapProgress> {
  let progress: RewrapProgress = { rewrapped: 0, unchanged: 0, failed: [], after: options.after }
  for (;;) {
    const page = await parts.store.page({ after: progress.after, limit: pageSize })
    const last = page.at(-1)
    if (last === undefined) return progress
    const outcomes = await Promise.all(
      page.map((stored) => rewrapOne(stored, recipients, options.left, parts)),
    )
    progress = {
      rewrapped: progress.rewrapped + outcomes.filter((outcome) => outcome === 'rewrapped').length,
      unchanged: progress.unchanged + outcomes.filter((outcome) => outcome === 'unchanged').length,
      failed: [...progress.failed, ...outcomes.filter((outcome) => typeof outcome === 'object')],
      after: last.keyId,
    }
    options.onProgress?.(progress)
  }
}

type Outcome = 'rewrapped' | 'unchanged' | 'gone' | { readonly keyId: Uint8Array; readonly code: ErrorCode }

/** @throws LongholdError `unavailable`: another time it may go well, and what is done stays done. */
async function rewrapOne(
  first: StoredDataKey,
  recipients: readonly Recipient[],
  left: (keyId: string) => void,
  parts: KeyringParts,
): Promise<Outcome> {
  const wanted = idsOf(recipients)
  try {
    for (let stored = first, attempt = 0; attempt < maxAttempts; attempt++) {
      const before = recipientIdsOf(stored.wrappedKey, parts)
      if (before.size === wanted.size && [...before].every((id) => wanted.has(id))) return 'unchanged'
      const stopWriting = rewrapStopsWriting(stored.name, before, wanted)
      const replacement = await rewrapped(stored, recipients, parts)
      const change = { expected: stored.wrappedKey, replacement, stopWriting }
      if (await parts.store.replaceWrappedKey(stored.keyId, change)) {
        if (stopWriting) left(toHex(stored.keyId))
        return 'rewrapped'
      }
      const now = await parts.store.get(stored.keyId)
      if (now === undefined || now.state === 'destroyed') return 'gone'
      stored = now
    }
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code === 'unavailable') throw error
    return { keyId: first.keyId, code: error.code }
  }
  throw new LongholdError('unavailable', `data key ${toHex(first.keyId)} is being rewrapped by others`)
}

async function rewrapped(
  stored: StoredDataKey,
  recipients: readonly Recipient[],
  parts: KeyringParts,
): Promise<Uint8Array> {
  const dataKey = await unwrapStored(stored, parts)
  try {
    return await wrapFor(recipients, dataKey, stored.keyContext, parts)
  } finally {
    dataKey.wipe()
  }
}
