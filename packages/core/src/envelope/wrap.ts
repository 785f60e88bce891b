/** Wrapped data keys, the first of the three containers: `wrapDataKey`, `unwrapDataKey` (SPEC §5). */

import { copyBytes } from '../bytes.ts'
import { badInput } from '../errors.ts'
import { decodeWrappedKey, encodeContainer } from '../format/container.ts'
import type { ContextInput } from '../format/context.ts'
import { DataKey } from '../keys/data-key.ts'
import type { Identity } from '../keys/identity.ts'
import type { Recipient } from '../keys/recipient.ts'
import { suiteTable } from '../keys/suite.ts'
import type { SuitesOption } from '../keys/suite.ts'
import { openHeader, sealHeader } from '../keys/wrapped-key.ts'
import { checkBytes, checkOptions } from '../options.ts'

/** What `wrapDataKey` is told. */
export interface WrapOptions extends SuitesOption {
  /** 1 to 32, no one twice. */
  readonly recipients: readonly Recipient[]
  /** Bound to the wrap and shown to a key service; at most 8,192 canonical bytes. Reaches logs: no secrets. */
  readonly keyContext?: ContextInput
}

/** What `unwrapDataKey` is told. */
export interface UnwrapOptions extends SuitesOption {
  /** The first stanza addressed to one of them is opened; if that fails nothing else is tried. */
  readonly identities: readonly Identity[]
  /** What was bound when wrapping. */
  readonly keyContext?: ContextInput
}

/**
 * Wraps a data key for recipients (SPEC §5.2).
 *
 * @returns A WrappedKey: 53 bytes, and 1,192 for each recipient of the default suite.
 * @throws LongholdError `bad_input`, `bad_context`, `limit_exceeded`; `unavailable` from a recipient that asks a
 * service.
 */
export async function wrapDataKey(dataKey: DataKey, options: WrapOptions): Promise<Uint8Array<ArrayBuffer>> {
  checkOptions(options, ['recipients', 'keyContext', 'suites'], 'wrapDataKey')
  if (!(dataKey instanceof DataKey)) throw badInput('wrapDataKey: dataKey must be a DataKey')
  const { recipients, keyContext } = options
  const header = await sealHeader(dataKey, recipients, keyContext, suiteTable(options.suites))
  return encodeContainer('wrapped key', header)
}

/**
 * Unwraps a data key with one of our identities, its MAC checked (SPEC §5.3). The caller wipes it.
 *
 * @throws LongholdError `malformed`, `unsupported`, `not_a_recipient`, `cannot_open`, `bad_context`,
 * `unavailable`.
 */
export async function unwrapDataKey(wrappedKey: Uint8Array, options: UnwrapOptions): Promise<DataKey> {
  checkOptions(options, ['identities', 'keyContext', 'suites'], 'unwrapDataKey')
  checkBytes(wrappedKey, 'unwrapDataKey: wrappedKey')
  // A copy: asking an identity may take time, in which callers use their buffers again.
  const suites = suiteTable(options.suites)
  const header = decodeWrappedKey(copyBytes(wrappedKey), suites.stanzaLength)
  return await openHeader(header, options.identities, options.keyContext, suites)
}
