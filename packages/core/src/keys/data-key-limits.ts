/** How much may be written under one data key, and in what portions a process takes from it. */

import { badInput } from '../errors.ts'
import { checkOptions } from '../options.ts'
import type { DataKeyUse } from './wrapped-key-store.ts'

/** How much is written under one data key before the next one takes over; each a whole number, 1 or more. */
export interface DataKeyLimits {
  /** Records. Default 100,000. */
  readonly maxMessages?: number
  /** Of plaintext. Default 1 GiB. */
  readonly maxBytes?: number
  /** From the making of the data key to the last record under it; at least a second. Default 24 hours. */
  readonly maxAgeMs?: number
}

const defaults: Required<DataKeyLimits> = {
  maxMessages: 100_000,
  maxBytes: 1024 * 1024 * 1024,
  maxAgeMs: 24 * 60 * 60 * 1000,
}

/** Below that a data key could be too old when it has just been made. */
const minAgeMs = 1000
/** From this part of a limit on, the next data key is prepared. */
const duePart = 0.8
/** A process reserves little at first, so that a hundred of them fit under one data key, and more the more it writes. */
const firstMessages = 1000
const firstPart = 1 / 100
const largestPart = 1 / 8

/** @throws LongholdError `bad_input` for a limit that is no whole number of 1 or more. */
export function limitsFrom(options: DataKeyLimits = {}): Required<DataKeyLimits> {
  checkOptions(options, Object.keys(defaults), 'limits')
  const { maxMessages, maxBytes, maxAgeMs } = options
  const limits = {
    maxMessages: maxMessages ?? defaults.maxMessages,
    maxBytes: maxBytes ?? defaults.maxBytes,
    maxAgeMs: maxAgeMs ?? defaults.maxAgeMs,
  }
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw badInput(`limits: ${name} must be a whole number, at least 1`)
  }
  if (limits.maxAgeMs < minAgeMs) throw badInput(`limits: maxAgeMs must be at least ${minAgeMs}`)
  return limits
}

/** Whether a data key of that use and age should give way to the next one, while it still may be used. */
export function isDue(
  limits: Required<DataKeyLimits>,
  { messages, bytes }: DataKeyUse,
  ageMs: number,
): boolean {
  return (
    messages >= duePart * limits.maxMessages ||
    bytes >= duePart * limits.maxBytes ||
    ageMs >= duePart * limits.maxAgeMs
  )
}

/**
 * What to reserve: at least `wanted`, else a block that doubles from one to the next, and nothing that is not there.
 *
 * @param blocks How many this process has reserved from the data key.
 * @returns `undefined` when `wanted` does not fit into what `used` leaves.
 */
export function blockFor(
  { maxMessages, maxBytes }: Required<DataKeyLimits>,
  {
    used,
    wanted,
    blocks,
  }: { readonly used: DataKeyUse; readonly wanted: DataKeyUse; readonly blocks: number },
): DataKeyUse | undefined {
  const left = { messages: maxMessages - used.messages, bytes: maxBytes - used.bytes }
  if (wanted.messages > left.messages || wanted.bytes > left.bytes) return undefined
  const part = Math.min(largestPart, firstPart * 2 ** Math.min(blocks, 10))
  const messages = Math.max(wanted.messages, firstMessages, Math.ceil(part * maxMessages))
  const bytes = Math.max(wanted.bytes, Math.ceil(part * maxBytes))
  return { messages: Math.min(messages, left.messages), bytes: Math.min(bytes, left.bytes) }
}
