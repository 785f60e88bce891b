/**
 * All data keys of a store wrapped for new recipients: in key-id order and page by page, each only if it is still what was
 * read.
 */

import { toHex } from '../bytes.ts'
import { LongholdError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { rewrapStopsWriting } from './keyring-names.ts'
import { idsOf, recipientIdsOf, unwrapStored, wrapFor } from './keyring-parts.ts'
import type { KeyringParts } from './keyring-parts.ts'
import type { Recipient } from './recipient.ts'
import type { StoredDataKey, WrappedKeyChange } from './wrapped-key-store.ts'

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

/** Unwrapped together, since a key service answers many at once; stored together, since a commit takes milliseconds. */
const pageSize = 50
/** Each attempt that fails means that somebody else has just rewrapped the same keys. */
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
    const outcomes = await rewrapPage(page, recipients, options.left, parts)
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

/**
 * One page in one step of the store, and once more for those that somebody else was about to rewrap as well.
 *
 * @throws LongholdError `unavailable`: another time it may go well, and what is done stays done.
 */
async function rewrapPage(
  page: readonly StoredDataKey[],
  recipients: readonly Recipient[],
  left: (keyId: string) => void,
  parts: KeyringParts,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  let waiting = page
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const answers = await Promise.allSettled(waiting.map((stored) => changeOf(stored, recipients, parts)))
    const changes: WrappedKeyChange[] = []
    for (const { value } of answers.filter((answer) => answer.status === 'fulfilled')) {
      if (typeof value === 'object' && 'replacement' in value) changes.push(value)
      else outcomes.push(value)
    }
    const done = changes.length === 0 ? [] : await parts.store.replaceWrappedKeys(changes)
    for (const [at, { keyId, stopWriting }] of changes.entries())
      if (done[at] === true && stopWriting) left(toHex(keyId))
    outcomes.push(...done.filter(Boolean).map(() => 'rewrapped' as const))
    // What could be rewrapped is, before the caller hears of what could not.
    const failure = answers.find((answer) => answer.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    const others = changes.filter((_, at) => done[at] !== true)
    const now = await Promise.all(others.map(({ keyId }) => parts.store.get(keyId)))
    waiting = now.filter((stored) => stored !== undefined && stored.state !== 'destroyed')
    outcomes.push(...Array.from({ length: others.length - waiting.length }, () => 'gone' as const))
    if (waiting.length === 0) return outcomes
  }
  const ids = waiting.map(({ keyId }) => toHex(keyId)).join(', ')
  throw new LongholdError('unavailable', `others are rewrapping too: data keys ${ids}`, {
    hint: 'call again with `after` when they are done',
  })
}

/** What is to be put in the place of what was read, or why nothing is. */
async function changeOf(
  stored: StoredDataKey,
  recipients: readonly Recipient[],
  parts: KeyringParts,
): Promise<WrappedKeyChange | Exclude<Outcome, 'rewrapped' | 'gone'>> {
  const { keyId, wrappedKey: expected, name } = stored
  const wanted = idsOf(recipients)
  try {
    const before = recipientIdsOf(expected, parts)
    if (before.size === wanted.size && [...before].every((id) => wanted.has(id))) return 'unchanged'
    const replacement = await rewrapped(stored, recipients, parts)
    return { keyId, expected, replacement, stopWriting: rewrapStopsWriting(name, before, wanted) }
  } catch (error) {
    if (!(error instanceof LongholdError) || error.code === 'unavailable') throw error
    return { keyId, code: error.code }
  }
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
